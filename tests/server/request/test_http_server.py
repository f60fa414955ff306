"""What is answered before a body has come, and how much of bodies is held at once. Over sockets; nothing here waits
for a timeout of the server: those are longer than a test waits.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import struct
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from inferir.server.request.auth import parse_keys
from inferir.server.request.exchange import DESERIALIZE
from tests.patience import PATIENCE_S
from tests.server.serving import Connect, connecting, eventually, linear_model, read_answer, read_raw, serving

KEYS = parse_keys(["one infer alice", "two read bob", "three admin carol"], "keys")


@pytest.fixture(autouse=True)
def short_lingering(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection is closed soon after a refusal, but for the test of what is sent meanwhile."""
    if "sending_gets_to" not in request.node.name:
        monkeypatch.setattr("inferir.server.request.connection._LINGERING_S", 0.05)


def _run(test: Callable[[Any, Connect], Awaitable[None]], tmp_path: Path, **chosen: Any) -> None:
    async def main() -> None:
        patient = {"body_timeout_s": 10 * PATIENCE_S, **chosen}
        async with serving(linear_model(tmp_path / "linear.apr"), **patient) as (app, url), connecting(url) as connect:
            await test(app, connect)

    asyncio.run(main())


def _head(n_bytes: int | None, *lines: str, line: str = "POST /predict HTTP/1.1") -> bytes:
    length = "Transfer-Encoding: chunked" if n_bytes is None else f"Content-Length: {n_bytes}"
    return "\r\n".join([line, "Host: h", length, *lines, "", ""]).encode()


async def _said(reader: asyncio.StreamReader) -> tuple[int, list[str], Any]:
    """The answer of a server that closes the connection behind it."""
    status, lines, body = read_raw(await asyncio.wait_for(reader.read(), PATIENCE_S))
    return status, list(lines), json.loads(body)


#: Lengths of bodies: on the short way, on aiohttp's, in chunks.
LENGTHS = pytest.mark.parametrize("n_bytes", [20_000, 2**23, None])


@LENGTHS
@pytest.mark.parametrize(
    ("line", "header", "status", "code"),
    [
        ("POST /predict HTTP/1.1", "X-API-Key: wrong", 401, "UNAUTHENTICATED"),
        ("POST /predict HTTP/1.1", "Expect: 100-continue", 401, "UNAUTHENTICATED"),
        ("POST /predict HTTP/1.1", "X-API-Key: two", 403, "FORBIDDEN"),
        ("POST /nowhere HTTP/1.1", "X-API-Key: one", 404, "NOT_FOUND"),
        ("PUT /predict HTTP/1.1", "X-API-Key: one", 405, "METHOD_NOT_ALLOWED"),
    ],
)
def test_who_is_refused_is_not_waited_for(
    tmp_path: Path, n_bytes: int | None, line: str, header: str, status: int, code: str
) -> None:
    async def test(app: Any, connect: Connect) -> None:
        for begun in (b"", b"4000\r\n" + b"a" * 0x1000):  # nothing of the body, and some
            reader, writer = await connect()
            writer.write(_head(n_bytes, header, line=line) + begun)
            got, lines, body = await _said(reader)
            assert (got, body["code"]) == (status, code)
            assert "Connection: close" in lines
        await eventually(lambda: not app._runner.server.busy())
        assert app._runner.server.receiving.taken == 0

    _run(test, tmp_path, keys=KEYS)


def test_a_body_that_says_it_is_too_large_is_not_waited_for(tmp_path: Path) -> None:
    async def test(app: Any, connect: Connect) -> None:
        reader, writer = await connect()
        writer.write(_head(2**24 + 1))
        status, _, body = await _said(reader)
        assert (status, body["code"]) == (413, "TOO_LARGE")

    _run(test, tmp_path)


def test_who_is_refused_while_sending_gets_to_the_answer(tmp_path: Path) -> None:
    """Clients that send all before they read: what they send is read and dropped for a while, and not held."""

    async def test(app: Any, connect: Connect) -> None:
        reader, writer = await connect()
        writer.write(_head(2**23, "X-API-Key: wrong"))
        for _ in range(2**7):
            writer.write(b"a" * 2**16)
            await asyncio.wait_for(writer.drain(), PATIENCE_S)
            assert app._runner.server.receiving.taken == 0
        assert (await _said(reader))[0] == 401

    _run(test, tmp_path, keys=KEYS)


def _binary(n_rows: int) -> bytes:
    """A request for predictions of rows of (1, 2), the numbers in binary."""
    data = struct.pack("<2d", 1.0, 2.0) * n_rows
    tensor = {"name": "x", "shape": [n_rows, 2], "datatype": "FP64", "parameters": {"binary_data_size": len(data)}}
    asked = json.dumps({"inputs": [tensor]}).encode()
    head = _head(
        len(asked) + len(data),
        f"Inference-Header-Content-Length: {len(asked)}",
        "Connection: close",
        line="POST /v2/models/linear/infer HTTP/1.1",
    )
    return head + asked + data


@pytest.mark.parametrize(
    ("first", "status"),
    [
        (_head(10, "X-API-Key: wrong"), 401),
        (_head(10, "X-API-Key: three", line="POST /nowhere HTTP/1.1"), 404),
        (_head(10, "X-API-Key: three", "Content-Encoding: x"), 415),
        (_head(None, "X-API-Key: wrong"), 401),
    ],
)
def test_what_comes_behind_an_answer_that_closes_is_not_done(tmp_path: Path, first: bytes, status: int) -> None:
    alias = b'{"model_id": "linear"}'
    behind = _head(len(alias), "X-API-Key: three", line="PUT /models/aliases/evil HTTP/1.1") + alias
    begun, rest = (b"5\r\n12345\r\n", b"0\r\n\r\n") if b"chunked" in first else (b"12345", b"67890")

    async def test(app: Any, connect: Connect) -> None:
        for known in (False, True):  # a connection that is new, and one that had an answer before
            reader, writer = await connect()
            if known:
                writer.write(_head(None, "X-API-Key: three", line="GET /models HTTP/1.1") + b"0\r\n\r\n")
                assert (await read_answer(reader))[0] == 200
            writer.write(first + begun)
            got, lines, _ = await read_answer(reader)
            assert (got, "Connection: close" in lines) == (status, True)
            writer.write(rest + behind)
            with contextlib.suppress(ConnectionResetError):  # it was closed with bytes unread
                assert await asyncio.wait_for(reader.read(), PATIENCE_S) == b""
            assert not app.registry.table.aliases

    _run(test, tmp_path, keys=KEYS)


@pytest.mark.parametrize("piece", [0, 12])
@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("http://a.b:80/health", 200),
        ("HTTPS://a/health?x=http://c/d", 200),
        ("http://a/nowhere", 404),
        ("http://a", 200),
        ("http://a?/nowhere", 200),
    ],
)
def test_a_target_may_be_a_url(tmp_path: Path, target: str, status: int, piece: int) -> None:
    """In one piece it goes the short way, and in two too, as a head; with a body in chunks the long one."""

    async def test(app: Any, connect: Connect) -> None:
        reader, writer = await connect()
        for head in (_head(0, line=f"GET {target} HTTP/1.1"), _head(None, line=f"GET {target} HTTP/1.1")):
            writer.write(head[:piece])
            await asyncio.sleep(0.02)
            writer.write(head[piece:])
            if b"chunked" in head:
                if status == 404:
                    assert (await read_answer(reader))[0] == status
                    return
                await asyncio.sleep(0.02)
                writer.write(b"0\r\n\r\n")
            assert (await read_answer(reader))[0] == status

    _run(test, tmp_path)


@pytest.mark.parametrize(("version", "interim"), [("1.1", [b"HTTP/1.1 100 Continue\r\n\r\n"]), ("1.0", [])])
def test_continue_is_said_to_those_who_know_it(tmp_path: Path, version: str, interim: list[bytes]) -> None:
    """RFC 9110, 10.1.1: an expectation of an HTTP/1.0 client is ignored."""
    body = b'{"features": [1, 2]}'

    async def test(app: Any, connect: Connect) -> None:
        reader, writer = await connect()
        writer.write(_head(len(body), "Expect: 100-continue", line=f"POST /predict HTTP/{version}"))
        for said in interim:
            assert await asyncio.wait_for(reader.readexactly(len(said)), PATIENCE_S) == said
        writer.write(body)
        assert (await read_answer(reader))[0] == 200

    _run(test, tmp_path)


@pytest.mark.parametrize("n_rows", [5_000, 300_000], ids=["short-way", "long-way"])
def test_bytes_of_bodies_on_their_way_are_bounded(tmp_path: Path, n_rows: int) -> None:
    request = _binary(n_rows)
    limit = len(request)

    async def test(app: Any, connect: Connect) -> None:
        receiving = app._runner.server.receiving
        first, first_writer = await connect()
        first_writer.write(request[: limit * 3 // 4])
        await eventually(lambda: receiving.taken > limit // 2)
        for n_bytes in (limit - 1000, None):
            reader, writer = await connect()
            begun = b"a" * (limit // 2)
            writer.write(_head(n_bytes) + (b"" if n_bytes else b"%x\r\n" % limit) + begun)
            status, lines, body = await _said(reader)
            assert (status, body["error"], body["retry_after_ms"]) == (503, "service_overloaded", 100)
            assert "Retry-After: 1" in lines
            assert "Connection: close" in lines
            assert receiving.taken <= limit
        reader, writer = await connect()  # what comes whole with its head is not on its way
        writer.write(_head(20, "Connection: close") + b'{"features": [1, 2]}')
        assert (await _said(reader))[2]["prediction"] == 4.0
        text = app.telemetry.render([app.snapshot()], {}, "")[0].decode()
        assert 'inferir_requests_shed_total{reason="receiving_limit"} 2' in text
        first_writer.write(request[limit * 3 // 4 :])
        assert (await _said(first))[0] == 200
        assert receiving.taken == 0

    _run(test, tmp_path, max_body_bytes=limit, max_receiving_bytes=1, max_batch_rows=n_rows)


@pytest.mark.parametrize("pause_s", [0.02, 0.5], ids=["short-way", "long-way"])
def test_time_begins_when_the_body_is_whole(tmp_path: Path, pause_s: float) -> None:
    body = b'{"features": [1, 2]}'

    async def test(app: Any, connect: Connect) -> None:
        seen = []
        app.gate._tell_started = (seen.append,)
        reader, writer = await connect()
        writer.write(_head(len(body), "Connection: close", "X-Request-Timeout-Ms: 5000") + body[:3])
        await eventually(lambda: app._runner.server.receiving.taken == 3)
        await asyncio.sleep(pause_s)
        before_s = time.monotonic()
        writer.write(body[3:])
        assert (await _said(reader))[0] == 200
        (exchange,) = seen
        assert exchange.started_s >= before_s
        assert exchange.deadline_s == pytest.approx(exchange.started_s + 5.0)
        assert 0.0 <= exchange.stages[DESERIALIZE] <= exchange.ended_s - before_s

    _run(test, tmp_path)


def test_a_body_that_does_not_come_is_no_latency(tmp_path: Path) -> None:
    async def test(app: Any, connect: Connect) -> None:
        seen = []
        app.gate._tell_started = (seen.append,)
        reader, writer = await connect()
        writer.write(_head(20))
        begin_s = time.monotonic()
        assert (await _said(reader))[0] == 408
        (exchange,) = seen
        assert exchange.started_s >= begin_s + 0.5

    _run(test, tmp_path, body_timeout_s=0.7)


@pytest.mark.parametrize("n_bytes", [20_000, 2**23])
def test_who_goes_while_sending_is_not_counted_any_more(tmp_path: Path, n_bytes: int) -> None:
    async def test(app: Any, connect: Connect) -> None:
        receiving = app._runner.server.receiving
        _, writer = await connect()
        writer.write(_head(n_bytes) + b"a" * 10_000)
        await eventually(lambda: receiving.taken == 10_000)
        writer.close()
        await eventually(lambda: receiving.taken == 0)

    _run(test, tmp_path)
