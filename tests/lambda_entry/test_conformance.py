"""The Runtime API's contract, point by point: https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html, and what
AWS's emulator and AWS's Python runtime do where it is silent. Points have the numbers of docs/reference/lambda.md.
"""

from __future__ import annotations

import base64
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from inferir.lambda_entry import client, protocol, snapstart
from inferir.lambda_entry.client import Connection, ConnectionLostError
from inferir.lambda_entry.protocol import MAX_RESPONSE_BYTES, Reply
from tests.lambda_entry.parts import (
    ACCEPTED,
    Line,
    Lines,
    Posted,
    event,
    make_function,
    run_loop,
    runtime_api,
    status,
)
from tests.patience import PATIENCE_S

ONE = {"features": [60, "red", 100]}
ROOT = Path(__file__).resolve().parents[2]


def answers(api: Any) -> list[tuple[str, Any]]:
    """What was posted: the last word of the path, and the document."""
    return [(posted.path.rpartition("/")[2], posted.document) for posted in api.posted]


def test_01_next_waits_and_lost_connections_are_tried_again_a_bounded_number_of_times() -> None:
    def hang_up(posted: Posted) -> bytes:
        return b""  # the server closes without an answer

    with runtime_api(event(ONE), reply=hang_up) as api:
        assert run_loop(api) == 1
        assert 2 <= len(api.posted) <= 8
    server = socket.create_server(("127.0.0.1", 0))
    host = f"127.0.0.1:{server.getsockname()[1]}"
    server.close()
    pauses: list[float] = []
    with pytest.raises(ConnectionLostError, match="expected the Runtime API at 127"):
        Connection(host, pauses.append).exchange(protocol.get(host, "invocation/next"))
    assert pauses == sorted(pauses)
    assert len(pauses) == 5
    assert min(pauses) >= 0.1


def test_01_there_is_no_read_timeout() -> None:
    with runtime_api() as api:
        connection = Connection(api.host)
        made = connection._connect()
        assert made.gettimeout() is None
        connection.close()


@pytest.mark.parametrize(
    "reply",
    [
        event(ONE, "a:b", Lambda_Runtime_Trace_Id="Root=1-2:3"),
        event(ONE, "a:b").replace(b"Lambda-Runtime-Aws-Request-Id: ", b"lambda-runtime-AWS-request-id:\t "),
        event(ONE, "a:b").replace(b"a:b\r\n", b"a:b\r\nX-Long: one\r\n two\r\n"),
        event(ONE, "a:b").replace(b"HTTP/1.1 200", b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200"),
    ],
)
def test_02_headers_and_bodies_in_every_shape_and_cut_at_every_byte(reply: bytes) -> None:
    head, _, body = reply.rpartition(b"\r\n\r\n")
    lines = [line for line in head.split(b"\r\n") if not line.startswith(b"Content-Length")]
    cut = len(body) // 3
    pieces = b"".join(b"%x;x=y\r\n%b\r\n" % (len(p), p) for p in (body[:cut], body[cut:]))
    chunked = b"\r\n".join(lines) + b"\r\nTransfer-Encoding: chunked\r\n\r\n" + pieces + b"0\r\nTrailer: 1\r\n\r\n"
    until_closed = b"\r\n".join(lines) + b"\r\n\r\n" + body
    for data, reusable in ((reply, True), (chunked, True), (until_closed, False)):
        for size in (1, 2, 7, len(data)):
            got, done = Reply(), False
            for start in range(0, len(data), size):
                assert not done
                done = got.feed(data[start : start + size])
            assert done or got.feed(b"")
            invocation = protocol.Invocation(got.headers, got.body)
            assert (invocation.request_id, invocation.body, got.reusable) == ("a:b", body, reusable)
            assert invocation.tenant_id == invocation.echo == ""


def test_02_connections_are_kept_until_the_server_closes_them() -> None:
    closing = event(ONE, "r-2").replace(b"Content-Type", b"Connection: close\r\nContent-Type")
    with runtime_api(event(ONE, "r-1"), closing, event(ONE, "r-3")) as api:
        run_loop(api)
        assert [posted.connection for posted in api.posted] == [1, 2, 2]
        assert [word for word, _ in answers(api)] == ["response"] * 3


def test_03_bodies_are_taken_byte_for_byte_and_json_whatever_they_are_called() -> None:
    long = json.dumps({"features": [60, "r\u00e9d\x00", 100], "other": "x" * (6 * 1024 * 1024 - 100)}).encode()
    foreign = event(ONE, "r-2").replace(b"application/json", b"application/x-www-form-urlencoded")
    for_people = '{"features": [60, "ré d", 100]}'.encode()
    with runtime_api(event(long), foreign, event(b"{no json", "r-3"), event(b"\xff", "r-4"), event(for_people)) as api:
        run_loop(api)
        said = answers(api)
        assert [word for word, _ in said] == ["response", "response", "error", "error", "response"]
        assert said[0][1]["prediction"] == "old"
        for posted in api.posted[2:4]:
            assert posted.headers["lambda-runtime-function-error-type"] == "Runtime.UnmarshalError"


def test_04_the_invocation_id_goes_back_and_a_late_answer_is_no_reason_to_stop() -> None:
    gone = status(410, '{"errorType":"InvokeTimeout"}')
    log = Lines()
    with runtime_api(
        event(ONE, "r-1", Lambda_Runtime_Invocation_Id="i-1"),
        event({"features": []}, "r-2", Lambda_Runtime_Invocation_Id="i-2"),
        event(ONE, "r-3"),
        reply=lambda posted: gone if "r-1" in posted.path else ACCEPTED,
    ) as api:
        run_loop(api, make_function(log=log))
        ids = [posted.headers.get("lambda-runtime-invocation-id") for posted in api.posted]
        assert ids == ["i-1", "i-2", None]
    assert any("too late" in line["message"] for line in log.written)


@pytest.mark.parametrize("code", [400, 403, 413])
def test_05_an_event_is_answered_once_whatever_becomes_of_the_answer(code: int) -> None:
    with runtime_api(event(ONE, "r-1"), event(ONE, "r-2"), reply=lambda posted: status(code)) as api:
        run_loop(api)
        assert [posted.path.split("/")[4] for posted in api.posted] == ["r-1", "r-2"]


def test_05_a_broken_container_ends_the_process() -> None:
    with runtime_api(event(ONE, "r-1"), event(ONE, "r-2"), reply=lambda posted: status(500)) as api:
        assert run_loop(api) == 1
        assert len(api.posted) == 1
        assert len(api.events) == 1


def test_06_an_error_has_three_fields_a_type_and_a_cause_that_x_ray_keeps() -> None:
    class Deep(Line):
        def answer(self, face: str, rows: Any, n_rows: int) -> Any:
            raise RuntimeError("x" * 70_000 if rows[0] else "small")

    with runtime_api(event({"features": [0, "red", 1]}), event(ONE), event({"features": [1]})) as api:
        run_loop(api, make_function(Deep()))
        small, large, ours = api.posted
    assert {"errorMessage", "errorType", "stackTrace"} <= set(small.document)
    assert small.document["errorMessage"] == "small"
    assert small.document["errorType"] == "RuntimeError"
    assert any("in answer" in line for line in small.document["stackTrace"])
    kind = "lambda-runtime-function-error-type"
    assert (small.headers[kind], ours.headers[kind]) == ("Function.Unhandled", "Function.DimensionMismatch")
    cause = json.loads(small.headers["lambda-runtime-function-xray-error-cause"])
    assert cause["exceptions"][0]["type"] == "RuntimeError"
    assert "lambda-runtime-function-xray-error-cause" not in large.headers


def run_main(api: Any, folder: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "inferir.lambda_entry"]
    variables = {**os.environ, "AWS_LAMBDA_RUNTIME_API": api.host, "INFERIR_MODEL": str(folder), **environ}
    return subprocess.run(
        command, env=variables, capture_output=True, text=True, timeout=PATIENCE_S, cwd=ROOT, check=False
    )


def test_07_no_model_is_an_init_error_before_any_event(tmp_path: Path) -> None:
    with runtime_api(event(ONE)) as api:
        done = run_main(api, tmp_path)
        assert done.returncode == 1
        assert [posted.path for posted in api.posted] == ["/2018-06-01/runtime/init/error"]
        assert api.posted[0].headers["lambda-runtime-function-error-type"] == "Function.FileAccess"
        assert "expected a file to read" in api.posted[0].document["errorMessage"]
        assert not api.asked


def test_08_trace_deadline_and_what_else_comes_with_an_event(monkeypatch: pytest.MonkeyPatch) -> None:
    traces: list[str | None] = []

    class Tracing(Line):
        def answer(self, face: str, rows: Any, n_rows: int) -> Any:
            traces.append(os.environ.get("_X_AMZN_TRACE_ID"))
            return super().answer(face, rows, n_rows)

    monkeypatch.setenv("_X_AMZN_TRACE_ID", "left over")
    log = Lines()
    trace = "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Parent=9a9197af755a6419;Sampled=1"
    with runtime_api(
        event(ONE, Lambda_Runtime_Trace_Id=trace),
        event(ONE),
        event(ONE, "late", Lambda_Runtime_Deadline_Ms="1"),
        event(ONE, "odd", Lambda_Runtime_Client_Context="{no json"),
        event({"features": [1]}, Lambda_Runtime_Trace_Id=trace, Lambda_Runtime_Client_Context='{"custom": {}}'),
    ) as api:
        run_loop(api, make_function(Tracing(), log))
        assert traces == [trace, None]
        late, odd, wrong = api.posted[2:]
        assert wrong.headers["lambda-runtime-function-error-type"] == "Function.DimensionMismatch"
        assert odd.headers["lambda-runtime-function-error-type"] == "Runtime.LambdaContextUnmarshalError"
        assert late.headers["lambda-runtime-function-error-type"] == "Function.DeadlineExceeded"
    assert log.written[-2]["xray_trace_id"] == "1-5bef4de7-ad49b0e87f6ef6c87fc2e700"
    invocation = protocol.Invocation({"lambda-runtime-aws-request-id": "r", "lambda-runtime-deadline-ms": "5"}, b"")
    assert invocation.remaining_ms(4) == 1
    assert invocation.remaining_ms(6) == 0


def test_09_numbers_that_are_not_finite_are_null_and_text_is_valid_whatever_its_alphabet() -> None:
    class Odd(Line):
        name, faces, classes = "mod\u00e8le", ("raw",), ()

        def answer(self, face: str, rows: Any, n_rows: int) -> Any:
            return [[float("nan"), float("inf")]]

    with runtime_api(event(ONE)) as api:
        run_loop(api, make_function(Odd()))
        body = api.posted[0].body
    assert b"NaN" not in body
    assert b"Infinity" not in body
    assert json.loads(body)["prediction"] == [None, None]
    assert json.loads(body)["model_id"] == "mod\u00e8le"


@pytest.mark.parametrize("excess", [0, 1])
def test_10_a_response_over_the_limit_is_an_error_that_says_so(excess: int) -> None:
    class Long(Line):
        name = "x"

    with runtime_api(event(ONE, "r-1")) as api:
        run_loop(api, make_function(Long()))
        plain = len(api.posted[0].body)
    Long.name = "x" * (1 + MAX_RESPONSE_BYTES - plain)
    with runtime_api(event(ONE, "r-1")) as api:
        function = make_function(Long())
        function.handler.reply = lambda document, request_id, remaining_ms: "x" * (MAX_RESPONSE_BYTES - 2 + excess)  # type: ignore[assignment, method-assign, misc]
        run_loop(api, function)
        posted = api.posted[0]
    if excess:
        assert posted.path.endswith("/error")
        assert posted.headers["lambda-runtime-function-error-type"] == "Function.ResponseSizeTooLarge"
        assert f"got {MAX_RESPONSE_BYTES + 1}" in posted.document["errorMessage"]
    else:
        assert posted.path.endswith("/response")
        assert len(posted.body) == MAX_RESPONSE_BYTES == 6_291_556


def url_event(body: Any) -> dict[str, Any]:
    return {
        "version": "2.0",
        "rawPath": "/predict",
        "headers": {"content-type": "application/json"},
        "requestContext": {"http": {"method": "POST", "path": "/predict"}},
        "body": json.dumps(body),
        "isBase64Encoded": False,
    }


def unchunked(data: bytes) -> tuple[bytes, bytes]:
    """Body and trailers of a chunked message."""
    body = b""
    while True:
        size, _, data = data.partition(b"\r\n")
        n = int(size, 16)
        if n == 0:
            return body, data
        body, data = body + data[:n], data[n + 2 :]


def test_11_a_streamed_answer_has_a_prelude_and_ends_with_its_connection() -> None:
    instances = [[k % 100, "red", 0] for k in range(3000)]
    with runtime_api(event(url_event({"instances": instances})), event(ONE)) as api:
        run_loop(api, make_function(INFERIR_STREAM="1"))
        streamed, plain = api.posted
        assert streamed.headers["lambda-runtime-function-response-mode"] == "streaming"
        assert streamed.headers["transfer-encoding"] == "chunked"
        assert streamed.headers["content-type"] == "application/vnd.awslambda.http-integration-response"
        expected = "Lambda-Runtime-Function-Error-Type, Lambda-Runtime-Function-Error-Body"
        assert streamed.headers["trailer"] == expected
        assert streamed.headers["connection"] == "close"
        assert plain.connection != streamed.connection
        assert plain.path.endswith("/response")
    data, trailers = unchunked(streamed.raw.partition(b"\r\n\r\n")[2])
    head, _, body = data.partition(bytes(8))
    assert json.loads(head) == {"statusCode": 200, "headers": {"Content-Type": "application/json"}}
    said = json.loads(body)
    assert [entry["prediction"] for entry in said["predictions"]] == [
        "old" if k % 100 > 50 else "young" for k in range(3000)
    ]
    assert said["model_id"] == "line"
    assert trailers == b"\r\n"


def test_11_what_fails_in_the_middle_of_a_stream_is_told_in_trailers() -> None:
    class Failing(Line):
        def answer(self, face: str, rows: Any, n_rows: int) -> Any:
            if rows[0] == 1024 % 100:
                raise RuntimeError("in the middle")
            return super().answer(face, rows, n_rows)

    body = {"instances": [[k % 100, "red", 0] for k in range(3000)]}
    with runtime_api(event(url_event(body)), event(url_event({"features": [1]}))) as api:
        run_loop(api, make_function(Failing(), INFERIR_STREAM="1"))
        failed, refused = api.posted
    data, trailers = unchunked(failed.raw.partition(b"\r\n\r\n")[2])
    assert data.partition(bytes(8))[2].startswith(b'{"predictions": [')
    lines = dict(line.split(": ", 1) for line in trailers.decode().split("\r\n") if line)
    assert lines["Lambda-Runtime-Function-Error-Type"] == "Function.Unhandled"
    error = json.loads(base64.b64decode(lines["Lambda-Runtime-Function-Error-Body"]))
    assert (error["errorMessage"], error["errorType"]) == ("in the middle", "RuntimeError")
    data, trailers = unchunked(refused.raw.partition(b"\r\n\r\n")[2])
    head, _, said = data.partition(bytes(8))
    assert json.loads(head)["statusCode"] == 400  # before the first byte it is a response like any other
    assert json.loads(said)["code"] == "E003"
    assert trailers == b"\r\n"


def test_11_every_answer_of_a_function_that_streams_has_a_prelude_and_metrics_count_it() -> None:
    log = Lines()
    body = {"instances": [[k % 100, "red", 0] for k in range(3000)]}
    health = {**url_event({}), "rawPath": "/health", "requestContext": {"http": {"method": "GET"}}}
    broken = {**url_event({}), "body": "{"}
    with runtime_api(*(event(value) for value in (health, broken, url_event(body)))) as api:
        run_loop(api, make_function(log=log, INFERIR_STREAM="1", INFERIR_METRICS_NAMESPACE="N"))
        heads = [unchunked(posted.raw.partition(b"\r\n\r\n")[2])[0].partition(bytes(8)) for posted in api.posted]
    assert [json.loads(head)["statusCode"] for head, _, _ in heads] == [200, 400, 200]
    assert json.loads(heads[0][2]) == {"live": True, "ready": True}
    assert [line["Instances"] for line in log.written if "_aws" in line] == [0, 0, 3000]


def test_11_a_reader_who_goes_away_does_not_end_the_process() -> None:
    def hang_up(posted: Posted) -> bytes:
        return b"" if "response-mode" in str(posted.headers) else ACCEPTED

    body = {"instances": [[1, "red", 0]] * 2000}
    log = Lines()
    with runtime_api(event(url_event(body), "r-1"), event(ONE, "r-2"), reply=hang_up) as api:
        run_loop(api, make_function(log=log, INFERIR_STREAM="1"))
        assert [posted.path.split("/")[4] for posted in api.posted] == ["r-1", "r-2"]
    assert any("expected the Runtime API" in line["message"] for line in log.written)


@pytest.fixture
def hooks(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    called: list[str] = []
    monkeypatch.setattr(snapstart, "_before", [])
    monkeypatch.setattr(snapstart, "_after", [])
    for name in "ab":
        snapstart.register_before_snapshot(lambda name=name: called.append(f"before {name}"))  # type: ignore[misc]
        snapstart.register_after_restore(lambda name=name: called.append(f"after {name}"))  # type: ignore[misc]
    return called


@pytest.mark.parametrize("code", [200, 404])
def test_12_hooks_run_in_their_order_around_the_snapshot(hooks: list[str], code: int) -> None:
    import random

    random.seed(1)
    drawn = random.random()
    random.seed(1)
    with runtime_api(reply=lambda posted: status(code)) as api:
        connection = Connection(api.host)
        snapstart.restore(connection)
        assert [posted.path for posted in api.posted] == ["/2018-06-01/runtime/restore/next"]
        assert connection._socket is None  # what was connected before the snapshot is not used after it
    assert hooks == ["before b", "before a", "after a", "after b"]
    assert random.random() != drawn


@pytest.mark.parametrize(
    ("register", "code", "path", "kind"),
    [
        (snapstart.register_before_snapshot, 64, "init/error", "Runtime.BeforeSnapshotError"),
        (snapstart.register_after_restore, 65, "restore/error", "Runtime.AfterRestoreError"),
    ],
)
def test_12_a_hook_that_fails_ends_the_process(
    hooks: list[str], register: Any, code: int, path: str, kind: str
) -> None:
    def fail() -> None:
        raise ValueError("no")

    register(fail)
    with runtime_api(reply=lambda posted: status(200)) as api:
        connection = Connection(api.host)
        with pytest.raises(SystemExit) as ended:
            snapstart.restore(connection)
        connection.close()
    assert ended.value.code == code
    assert api.posted[-1].path == f"/2018-06-01/runtime/{path}"
    assert api.posted[-1].headers["lambda-runtime-function-error-type"] == kind


LOOPS = """
import os, sys
from inferir.lambda_entry import instances
from tests.lambda_entry.parts import Line, make_function
class Mortal(Line):
    def answer(self, face, rows, n_rows):
        if rows[0] == 13:
            os._exit(9)
        return super().answer(face, rows, n_rows)
function = make_function(Mortal(), AWS_LAMBDA_RUNTIME_API=sys.argv[1], AWS_LAMBDA_MAX_CONCURRENCY="3")
if "still" in sys.argv:  # no life is long by this clock, however slow the machine
    instances.monotonic = lambda: 0.0
instances.run(function)
"""


def test_13_n_loops_answer_side_by_side_and_one_that_dies_is_replaced() -> None:
    events = [event({"features": [k, "red", 0]}, f"r-{k}") for k in (1, 2, 13, 3, 4)]
    # Three loops ask side by side before any is given an event; the last two are for when the dead one is replaced.
    with runtime_api(*events, ends=False, asking=(3, 3, 3, 4, 4)) as api:
        process = subprocess.Popen([sys.executable, "-c", LOOPS, api.host], cwd=ROOT, stderr=subprocess.PIPE, text=True)
        api.wait_posted(4)
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0
    assert {posted.path.split("/")[4] for posted in api.posted} == {"r-1", "r-2", "r-3", "r-4"}
    assert len({asked.connection for asked in api.asked}) == 4
    assert "a loop ended with status 9" in said


def test_13_loops_that_die_at_once_end_the_process() -> None:
    with runtime_api() as api:  # every `next` is refused
        command = [sys.executable, "-c", LOOPS, api.host, "still"]
        done = subprocess.run(command, cwd=ROOT, timeout=PATIENCE_S, capture_output=True, check=False)
    assert done.returncode == 1
    assert done.stderr.count(b"a loop ended with status 1 ") == 5
    assert len(api.asked) <= 3 + 4


def test_14_a_signal_ends_the_process_at_once_and_lines_are_whole(tmp_path: Path) -> None:
    code = """
import sys, time
from inferir.lambda_entry.__main__ import _end_on_sigterm
from inferir.lambda_entry.client import Connection
from inferir.lambda_entry.logs import Logger
_end_on_sigterm()
Logger({}).write("ERROR", "here", "waiting")
Connection(sys.argv[1]).exchange(b"GET / HTTP/1.1\\r\\n\\r\\n")
"""
    server = socket.create_server(("127.0.0.1", 0))
    host = f"127.0.0.1:{server.getsockname()[1]}"
    process = subprocess.Popen([sys.executable, "-c", code, host], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    server.settimeout(PATIENCE_S)
    connection, _ = server.accept()
    assert process.stdout is not None
    assert json.loads(process.stdout.readline())["message"] == "waiting"  # though nothing was flushed or closed
    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE_S) == 0  # and does not wait for its answer, which never comes
    connection.close()
    server.close()
    process.stdout.close()


def test_pauses_are_as_documented() -> None:
    assert client._PAUSES_S == (0.1, 0.2, 0.4, 0.8, 1.6)
