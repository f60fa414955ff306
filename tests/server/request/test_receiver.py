"""Bodies received into their place: every stream of requests is answered as aiohttp's own way answers it, whatever is
in it and wherever it is cut; and what is slow, lies, or goes away is treated as before.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from aiohttp.web_protocol import RequestHandler
from hypothesis import given, settings
from hypothesis import strategies as st

from inferir.server.request.connection import Connection
from inferir.server.request.exchange import Exchange
from inferir.server.request.http_server import HttpServer
from inferir.server.request.receiver import Incoming
from tests.patience import PATIENCE_S
from tests.server.certificates import certificate
from tests.server.request.wire import EchoGate, Transport
from tests.server.serving import connecting, eventually, linear_model, read_answer, serving

LIMIT = 60_000


class _Gate(EchoGate):
    """Says of a body how long it is and what it hashes to."""

    def said(self, exchange: Exchange) -> str:
        problem = type(exchange.problem).__name__ if exchange.problem else ""
        digest = hashlib.sha256(exchange.body).hexdigest()[:8]
        names = sorted(name.lower() for name in exchange.headers)
        exchange.problem = None
        return f"<{exchange.method} {exchange.path} {len(exchange.body)} {digest} {names} {problem}>"


class _LongWay(Connection):
    data_received = RequestHandler.data_received
    __slots__ = ()


def _server(gate: Any = None, body_timeout_s: float = 600.0) -> HttpServer:
    return HttpServer(
        gate or _Gate(),
        max_body_bytes=LIMIT,
        body_timeout_s=body_timeout_s,
        keepalive_s=600,
        max_connections=9,
        max_receiving_bytes=0,
    )


async def _settle() -> None:
    for _ in range(40):
        await asyncio.sleep(0)


async def _answers(data: bytes, cuts: list[int], *, long: bool) -> tuple[list[str], bool]:
    """What is answered to a stream that comes in pieces, and whether the connection is closed then."""
    server = _server()
    connection = server()
    if long:
        connection.__class__ = _LongWay
    transport = Transport(connection)
    connection.connection_made(transport)
    begin = 0
    for end in [*sorted(cuts), len(data)]:
        transport.receive(data[begin:end])
        begin = max(begin, end)
        await asyncio.sleep(0)
    await _settle()
    written = b"".join(transport.written).decode()
    found = re.findall(r"HTTP/1.1 (\d+) |<([^>]*)>|(Connection: \w+)", written)
    closed = transport.closed
    connection.connection_lost(None)
    await _settle()
    assert not server.busy()
    assert not server._waited_for
    assert server.receiving.taken == 0
    # Where the body has come already, nobody need be told to send it: 100 is left out.
    return [said for said in map("".join, found) if said != "100"], closed


def _post(path: str, n_bytes: int, *lines: str, length: str | None = None) -> bytes:
    body = np.random.default_rng(n_bytes).bytes(n_bytes)
    said = f"Content-Length: {n_bytes if length is None else length}"
    return "\r\n".join([f"POST {path} HTTP/1.1", "Host: h", *lines, said, "", ""]).encode() + body


HOSTILE = [
    _post("/lies", 20_000, length="19000"),  # what is left over is no request
    _post("/lies", 20_000, length="+20000"),
    _post("/lies", 20_000, length="-1"),
    _post("/lies", 20_000, length="0x4e20"),
    _post("/lies", 20_000, length="20000, 20000"),
    _post("/lies", 20_000, length="9" * 30),
    _post("/twice", 20_000, "Content-Length: 20000"),
    _post("/twice", 20_000, "Content-Length: 10"),
    _post("/both", 20_000, "Transfer-Encoding: chunked"),
    _post("/both", 20_000, "transfer-encoding : chunked"),
    _post("/zipped", 20_000, "Content-Encoding: gzip"),
    _post("/upgrades", 20_000, "Connection: upgrade", "Upgrade: websocket"),
    _post("/host", 20_000).replace(b"Host: h\r\n", b""),
    _post("/null", 20_000, "X: a\0b"),
    _post("/bare", 20_000).replace(b"\r\n", b"\n", 2),
    _post("/space", 20_000).replace(b"Content-Length:", b"Content-Length :"),
    b"POST /chunks HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n4e20\r\n"
    + b"a" * 20_000
    + b"\r\n0\r\n\r\n",
    b"GARBAGE\r\n\r\n",
]
OTHERS = [
    _post("/large", 20_000),
    _post("/large", 20_000),
    _post("/later", 30_000),
    _post("/padded", 9_000, length="0009000"),
    _post("/other-head", 20_000, "X-Request-Id: 2"),
    _post("/small", 10),
    _post("/few", 300),
    b"GET /none HTTP/1.1\r\nHost: h\r\n\r\n",
    b"\r\n" + _post("/behind-a-line", 20_000),
    _post("/expects", 20_000, "Expect: 100-continue"),
    _post("/closes", 20_000, "Connection: close"),
    _post("/just-not", LIMIT),
    _post("/old", 20_000, "Connection: keep-alive").replace(b"HTTP/1.1", b"HTTP/1.0"),
]
EVERY = [*OTHERS, *HOSTILE]
CUTS = st.lists(st.integers(0, 90_000) | st.integers(0, 200) | st.integers(20_000, 20_300), max_size=6)


async def _expected(data: bytes) -> tuple[list[str], bool]:
    """aiohttp's own way, with so few bytes at a time that it loses nothing: of a piece with something in it that is no
    request, it does not answer what stands before that either.
    """
    return await _answers(data, list(range(0, len(data), 40)), long=True)


def _check(data: bytes, cuts: list[int], *, hostile: bool) -> None:
    found, closed = asyncio.run(_answers(data, cuts, long=False))
    expected, closed_too = asyncio.run(_expected(data))
    assert closed == closed_too
    if not hostile:
        assert found == expected
        return
    answered, refused = _split(found)
    answered_too, refused_too = _split(expected)
    assert answered == answered_too[: len(answered)]
    if refused_too:
        assert refused
    elif refused:  # what came behind an answer that ends the connection was in one piece with its request
        assert "Connection: close" in expected
    else:
        assert found == expected


def _split(answers: list[str]) -> tuple[list[str], bool]:
    """Without the refusal at the end of what is no request: a status, the end of the connection, and why."""
    refused = bool(answers) and "RequestError" in answers[-1]
    return (answers[:-3], True) if refused else (answers, False)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, len(EVERY) - 1), min_size=1, max_size=5), CUTS, st.integers(0, 50))
def test_streams_are_answered_as_aiohttp_answers_them(places: list[int], cuts: list[int], missing: int) -> None:
    """`places` in EVERY; `missing`: bytes at the end that never come."""
    data = b"".join(EVERY[place] for place in places)
    behind_the_end = any(b"Connection: close" in EVERY[place] for place in places[:-1])  # which is no request either
    _check(data[: len(data) - missing], cuts, hostile=behind_the_end or max(places) >= len(OTHERS))


@pytest.mark.parametrize("request_", HOSTILE, ids=lambda data: data.split(b" HTTP")[0].decode())
def test_behind_a_head_that_is_known(request_: bytes) -> None:
    """The first makes the head known, and the parser new; then comes what is hostile."""
    large = _post("/large", 20_000)
    for data in (large + large + request_ + large, large + large[:300] + request_):
        for cuts in ([], [len(large)], [len(large), 2 * len(large)], [2 * len(large) + 30]):
            _check(data, cuts, hostile=True)


def test_a_body_cut_at_every_place_of_its_head_and_around_its_end() -> None:
    data = _post("/large", 9_000)
    head = data.index(b"\r\n\r\n") + 4
    expected = asyncio.run(_answers(data * 2, [], long=True))
    assert expected[0].count("200") == 2
    for cut in [*range(head + 3), *range(len(data) - 3, len(data) + head + 3)]:
        assert asyncio.run(_answers(data * 2, [cut], long=False)) == expected, cut


def test_large_bodies_take_the_way_that_this_is_about() -> None:
    async def main() -> None:
        connection = _server()()
        transport = Transport(connection)
        connection.connection_made(transport)
        data = _post("/large", 20_000)
        for number in range(4):
            parser = connection._parser
            transport.receive(data[:15_000])
            incoming = connection.incoming
            assert incoming is not None
            assert (incoming.payload is None) == (number > 0), "the parser reads a head once"
            transport.receive(data[15_000:])
            assert connection.incoming is None
            assert len(transport.written) == number + 1, "at once"
            assert (connection._parser is parser) == (number > 0), "and so needs to be new only once"
        connection.connection_lost(None)

    asyncio.run(main())


def test_numbers_at_the_end_of_a_body_lie_where_they_can_be_read() -> None:
    for head_length in range(1, 20):
        numbers = np.arange(3, dtype=np.float64)
        body = b"h" * head_length + numbers.tobytes()
        incoming = Incoming(None, object(), len(body))
        incoming.put(body[:5])
        place = incoming.rest
        place[: len(body) - 5] = body[5:]
        assert incoming.add(len(body) - 5)
        assert incoming.body == body
        array = np.frombuffer(incoming.body[head_length:], np.float64)
        assert array.flags.aligned
        np.testing.assert_array_equal(array, numbers)


def test_who_goes_in_the_middle_of_a_large_body_leaves_nothing() -> None:
    async def main() -> None:
        server = _server()
        for known in (False, True):
            connection = server()
            transport = Transport(connection)
            connection.connection_made(transport)
            if known:
                transport.receive(_post("/large", 20_000))
            transport.receive(_post("/large", 20_000)[:-1])
            assert server.busy()
            connection.connection_lost(ConnectionResetError())
            await _settle()
            assert not server.busy()
            assert not server._waited_for
            assert len(transport.written) == known

    asyncio.run(main())


def test_draining_while_a_body_comes_in() -> None:
    """It is answered, and the connection closed behind it."""

    async def main() -> None:
        for known in (False, True):
            server = _server()
            connection = server()
            transport = Transport(connection)
            connection.connection_made(transport)
            if known:
                transport.receive(_post("/large", 20_000))
                transport.written.clear()
            data = _post("/large", 20_000)
            transport.receive(data[:-10])
            server.gate.admission.draining = True
            transport.receive(data[-10:])
            await _settle()
            (written,) = transport.written
            assert b"Connection: close\r\n" in written
            assert b"<POST /large 20000 " in written
            assert transport.closed
            connection.connection_lost(None)

    asyncio.run(main())


@pytest.mark.parametrize("known", [False, True])
def test_who_is_slow_is_left_to_the_task(known: bool) -> None:
    async def main() -> None:
        connection = _server()()
        transport = Transport(connection)
        connection.connection_made(transport)
        data = _post("/large", 20_000)
        if known:
            transport.receive(data)
        transport.receive(data[:12_000])
        await eventually(lambda: connection.incoming is None)
        transport.receive(data[12_000:] + _post("/large", 20_000) + _post("/small", 10))
        await _settle()
        paths = re.findall(rb"<POST (\S+ \d+)", b"".join(transport.written))
        assert paths == [b"/large 20000"] * (2 + known) + [b"/small 10"]
        assert not transport.closed
        connection.connection_lost(None)

    asyncio.run(main())


# -- over sockets

_HEAD = (
    "POST /v2/models/linear/infer HTTP/1.1\r\nHost: h\r\n"
    "Inference-Header-Content-Length: {}\r\nContent-Length: {}\r\n\r\n"
)


def _infer(n: int) -> tuple[bytes, bytes]:
    """A request for `n` rows in binary, and the bytes of the answer's output: 2 a + b."""
    rows = np.random.default_rng(n).random((n, 2))
    tensor = {"name": "x", "shape": [n, 2], "datatype": "FP64", "parameters": {"binary_data_size": rows.nbytes}}
    asked = json.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}}).encode()
    head = _HEAD.format(len(asked), len(asked) + rows.nbytes).encode()
    return head + asked + rows.tobytes(), (rows @ [2.0, 1.0]).tobytes()


def _run(test: Callable[..., Awaitable[None]], tmp_path: Path, loop: str = "asyncio", **chosen: Any) -> None:
    async def main() -> None:
        context = None
        if "tls_certificate" in chosen:
            context = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))
        model = linear_model(tmp_path / "linear.apr")
        async with serving(model, **chosen) as (app, url), connecting(url, context) as connect:
            await test(app, connect)

    if loop == "uvloop":
        pytest.importorskip("uvloop").run(main())
    else:
        asyncio.run(main())


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
@pytest.mark.parametrize("tls", [False, True])
def test_answers_are_those_of_the_model(tmp_path: Path, loop: str, tls: bool) -> None:
    chosen = {}
    if tls:
        authority = certificate(tmp_path, "ca")
        certificate(tmp_path, "server", authority)
        chosen = {"tls_certificate": str(tmp_path / "server.pem"), "tls_key": str(tmp_path / "server.key")}

    async def test(app: Any, connect: Any) -> None:
        reader, writer = await connect()
        for n in (1000, 1000, 1000, 3, 5000, 1000, 40_000, 1000, 300_000, 1000):
            data, expected = _infer(n)
            writer.write(data)
            status, _, body = await read_answer(reader)
            if n * 16 > app.settings.max_body_bytes or n > app.settings.max_batch_rows:
                assert status == 413
                reader, writer = await connect()
                continue
            assert status == 200
            np.testing.assert_allclose(np.frombuffer(body[-n * 8 :]), np.frombuffer(expected))
        for n in (1000, 2000, 1000):  # one behind the other
            writer.write(_infer(n)[0])
        for n in (1000, 2000, 1000):
            assert (await read_answer(reader))[2].endswith(_infer(n)[1][-4:])

    _run(test, tmp_path, loop, **chosen)


def test_a_slow_body_is_answered_when_it_comes_and_refused_when_it_does_not(tmp_path: Path) -> None:
    async def test(app: Any, connect: Any) -> None:
        data, expected = _infer(1000)
        reader, writer = await connect()
        for _ in range(2):
            writer.write(data)
            assert (await read_answer(reader))[0] == 200
        writer.write(data[:-4])
        await asyncio.sleep(0.3)
        for k in range(4):
            writer.write(data[-4 + k : len(data) - 3 + k])
            await asyncio.sleep(0.02)
        status, _, body = await read_answer(reader)
        assert (status, body[-4:]) == (200, expected[-4:]), body
        writer.write(data[:-1])
        status, _, body = await read_answer(reader)
        assert status == 408
        assert (
            json.loads(body)["message"]
            == f"expected the body within 2 s, got {len(data) - 1 - data.index(b'{')} bytes of it"
        )
        assert await reader.read() == b"", "closed"

    _run(test, tmp_path, body_timeout_s=2.0)


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_stopping_while_a_body_comes_in(tmp_path: Path, loop: str) -> None:
    async def test(app: Any, connect: Any) -> None:
        data, expected = _infer(1000)
        reader, writer = await connect()
        writer.write(data[:-100])
        await eventually(app._runner.server.busy)
        app.admission.draining = True
        stopping = asyncio.ensure_future(app._drain(asyncio.get_running_loop().time() + PATIENCE_S))
        await asyncio.sleep(0.02)
        writer.write(data[-100:])
        status, _, body = await read_answer(reader)
        assert (status, body[-8:]) == (200, expected[-8:])
        assert await reader.read() == b"", "closed"
        await stopping

    _run(test, tmp_path, loop)
