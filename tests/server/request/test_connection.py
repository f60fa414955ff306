"""The short way and aiohttp's long way, on a transport of the tests' own: every request once, and in order."""

from __future__ import annotations

import asyncio
import re
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from inferir.server.request.connection import Connection
from inferir.server.request.http_server import HttpServer
from tests.server.request.wire import EchoGate, Transport


def _request(path: str, body: str) -> bytes:
    return f"POST {path} HTTP/1.1\r\nHost: h\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()


def _connected() -> tuple[Connection, Transport]:
    gate: Any = EchoGate()
    server = HttpServer(
        gate, max_body_bytes=100, body_timeout_s=600, keepalive_s=600, max_connections=1, max_receiving_bytes=0
    )
    connection = server()
    transport = Transport(connection)
    assert isinstance(connection, Connection)
    connection.connection_made(transport)
    return connection, transport


def _answers(transport: Transport) -> list[str]:
    return re.findall(r"<(\S+ \S*)>", b"".join(transport.written).decode())


def test_who_asks_again_before_the_task_is_back_goes_the_short_way() -> None:
    """With many connections a round of the loop is so long that it is always so."""

    async def main() -> None:
        connection, transport = _connected()
        transport.receive(_request("/a", "0"))
        assert _answers(transport) == ["/a 0"], "at once, though aiohttp's task has not begun"
        transport.receive(_request("/later", "1"))
        transport.written.clear()
        while not transport.written:
            await asyncio.sleep(0)
        assert connection._waiter is None, "the task has not come back yet"
        for number in range(2, 6):
            transport.receive(_request("/a", str(number)))
            assert _answers(transport) == ["/later 1", *(f"/a {k}" for k in range(2, number + 1))], "at once"
        for _ in range(10):
            await asyncio.sleep(0)
        assert connection._waiter is not None
        transport.receive(_request("/a", "6"))
        assert _answers(transport)[-1] == "/a 6"
        connection.connection_lost(None)

    asyncio.run(main())


_PATHS = st.sampled_from(["/at-once", "/later"])
#: Each request: its path, where it is cut in two, rounds of the loop before each part, and whether to wait for answers.
_REQUESTS = st.lists(
    st.tuples(_PATHS, st.integers(0, 80), st.integers(0, 8), st.integers(0, 3), st.booleans()), max_size=12
)


@given(_REQUESTS)
def test_every_request_is_answered_once_and_in_order(requests: list[tuple[str, int, int, int, bool]]) -> None:
    async def main() -> None:
        connection, transport = _connected()
        expected = []
        for number, (path, cut, before, between, wait) in enumerate(requests):
            while wait and len(_answers(transport)) < len(expected):
                await asyncio.sleep(0)
            for _ in range(before):
                await asyncio.sleep(0)
            data = _request(path, str(number))
            expected.append(f"{path} {number}")
            transport.receive(data[:cut])
            if data[cut:]:
                for _ in range(between):
                    await asyncio.sleep(0)
                transport.receive(data[cut:])
            assert _answers(transport) == expected[: len(_answers(transport))]
        for _ in range(20 * len(requests) + 20):
            await asyncio.sleep(0)
        assert _answers(transport) == expected
        assert not transport.closed
        connection.connection_lost(None)

    asyncio.run(main())


def test_a_body_in_pieces_goes_the_short_way() -> None:
    async def main() -> None:
        connection, transport = _connected()
        data = _request("/a", "0123456789")
        for _ in range(3):
            transport.written.clear()
            transport.receive(data[:-6])
            for piece in (data[-6:-4], data[-4:-1]):
                transport.receive(piece)
                assert connection.incoming
                assert not transport.written
            transport.receive(data[-1:])
            assert _answers(transport) == ["/a 0123456789"], "at once, though aiohttp's task has not begun"
            assert connection.incoming is None
        connection.connection_lost(None)

    asyncio.run(main())


def test_who_is_slow_with_a_body_is_left_to_the_task() -> None:
    async def main() -> None:
        connection, transport = _connected()
        data = _request("/a", "0123456789")
        transport.receive(data[:-6])
        while connection.incoming:
            await asyncio.sleep(0.01)
        transport.receive(data[-6:])
        while not transport.written:
            await asyncio.sleep(0)
        assert _answers(transport) == ["/a 0123456789"]
        connection.connection_lost(None)

    asyncio.run(main())


def test_who_goes_in_the_middle_of_a_body_leaves_nothing() -> None:
    async def main() -> None:
        connection, transport = _connected()
        transport.receive(_request("/a", "0123456789")[:-6])
        assert connection.incoming
        assert connection._http.busy()
        connection.connection_lost(None)
        assert connection.incoming is None
        assert not connection._http._waited_for
        assert not transport.written

    asyncio.run(main())


@given(st.lists(st.tuples(_PATHS, st.text("ab", max_size=12)), max_size=8), st.lists(st.integers(1, 90), min_size=1))
def test_a_stream_of_requests_cut_anywhere(requests: list[tuple[str, str]], pieces: list[int]) -> None:
    async def main() -> None:
        connection, transport = _connected()
        stream = b"".join(_request(path, body) for path, body in requests)
        expected = [f"{path} {body}" for path, body in requests]
        place = 0
        while stream:
            piece, stream = stream[: pieces[place % len(pieces)]], stream[pieces[place % len(pieces)] :]
            place += 1
            transport.receive(piece)
            if place % 3 == 0:
                await asyncio.sleep(0)
            assert _answers(transport) == expected[: len(_answers(transport))]
        for _ in range(20 * len(requests) + 20):
            await asyncio.sleep(0)
        assert _answers(transport) == expected
        assert not transport.closed
        connection.connection_lost(None)

    asyncio.run(main())
