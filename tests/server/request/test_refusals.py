"""What is said of what is not HTTP: one line, what was expected, and nothing in the log. Over sockets, since the texts
that it is made from are those of the parser that is installed.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import zlib
from pathlib import Path
from typing import Any

import pytest
from aiohttp import http_exceptions
from hypothesis import given
from hypothesis import strategies as st

from inferir.server.errors import UnsupportedMediaError
from inferir.server.request.refusals import ENCODINGS, check_encoding, refusal_of
from tests.patience import PATIENCE_S
from tests.server.serving import connecting, linear_model, read_answer, serving

_POST = b"POST /predict HTTP/1.1\r\nHost: h\r\n"
_CHUNKED = _POST + b"Transfer-Encoding: chunked\r\n\r\n"


def _encoded(encoding: str, body: bytes = b"xyzxyz", path: str = "/predict") -> tuple[bytes, bytes]:
    head = f"POST {path} HTTP/1.1\r\nHost: h\r\nContent-Encoding: {encoding}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode(), body


def _get(line: bytes) -> bytes:
    return line + b"\r\nHost: h\r\n\r\n"


ENCODINGS_READ = f"{', '.join(ENCODINGS[:-1])} or {ENCODINGS[-1]}"
VERSION = "expected HTTP/1.1 or HTTP/1.0 behind the path, got "
PATH = "expected a path that begins with / and is percent-encoded, got "
LENGTH = "expected a Content-Length in decimal digits, got something else"
TOO_LONG = "expected a path and headers of at most 8190 bytes each, got more"
CHUNKS = "expected chunks of a size, CR LF, so many bytes, CR LF, got something else"

NO_HTTP = [
    (_get(b"GET http://[::1/ HTTP/1.1"), "expected a path, or a URL with a host, got 'http://[::1/'"),
    (_get(b"GET nothing HTTP/1.1"), PATH + "'GET nothing HTTP/1.1'"),
    (_get(b"GET /a\x01b HTTP/1.1"), PATH + r"'GET /a\x01b HTTP/1.1'"),
    (_get(b"FOO / HTTP/1.1"), "expected a method of HTTP in capitals, got 'FOO'"),
    (b"GET / HTTP/1.1\nX-API-Key: secret\n\n", "expected a request line that ends in CR LF, got 'GET / HTTP/1.1'"),
    (b"X-API-Key:secret\r\n\r\n", "expected a method of HTTP in capitals, got 'X-API-Key'"),
    (b"GET http://[\nX-API-Key: secret\n\n HTTP/1.1\r\n\r\n", "expected a path, or a URL with a host, got 'http://['"),
    (_get(b"GET / HTTP/9.9"), VERSION + "'GET / HTTP/9.9'"),
    (_get(b"GET / HTP/1.1"), VERSION + "'GET / HTP/1.1'"),
    (_get(b"GET / HTTP/1.x"), VERSION + "'GET / HTTP/1.x'"),
    (_get(b"GET /" + b"a" * 9000 + b" HTTP/1.1"), TOO_LONG),
    (_POST + b"X: " + b"a" * 9000 + b"\r\n\r\n", TOO_LONG),
    (_POST + b"a" * 9000 + b": x\r\n\r\n", TOO_LONG),
    (_POST + b"X: 1\r\n" * 5000 + b"\r\n", "expected at most 128 headers, got more"),
    (b"\x16\x03\x01\x02\x00\x01\r\n\r\n", "expected HTTP, got TLS; this port has none"),
    (b"GET / HTTP/1.1\r\n\r\n", "expected a Host header, got none"),
    (_POST + b"Host: g\r\n\r\n", "expected one Host header, got several"),
    (_POST + b"X-API-Key: secr\x01et\r\n\r\n", "expected headers without control characters, got some"),
    (_POST + b"X\r\n\r\n", "expected header lines of a name without blanks, a colon and a value, got something else"),
    (_POST + b"Content-Length: -1\r\n\r\n", LENGTH),
    (_POST + b"Content-Length: \r\n\r\n", LENGTH),
    (_POST + b"Content-Length: " + b"9" * 40 + b"\r\n\r\n", "expected a Content-Length below 2**64, got more"),
    (_POST + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}", "expected one Content-Length, got several"),
    (
        _POST + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}",
        "expected Content-Length or Transfer-Encoding, and not both, got both",
    ),
    (_POST + b"Transfer-Encoding: foo\r\n\r\n{}", "expected Transfer-Encoding chunked, got another"),
    (_POST + b"Transfer-Encoding: chunked, gzip\r\n\r\n", "expected Transfer-Encoding chunked, got another"),
    (_POST + b"Sec-WebSocket-Key1: a\r\n\r\n", "expected HTTP, got a WebSocket handshake"),
    (
        _POST + b"Connection: close\r\nContent-Length: 2\r\n\r\n{}GET / HTTP/1.1\r\n\r\n",
        "expected nothing behind a request with Connection: close, got more",
    ),
    (_CHUNKED + b"zz\r\n{}\r\n0\r\n\r\n", "expected chunk sizes in hexadecimal digits, got something else"),
    (_CHUNKED + b"f" * 30 + b"\r\n{}\r\n0\r\n\r\n", "expected chunk sizes below 2**64, got more"),
    (_CHUNKED + b"2\r\n{}zz0\r\n\r\n", CHUNKS),
    (_CHUNKED + b"2;\x01\r\n{}\r\n0\r\n\r\n", CHUNKS),
]

_ZIPPED = gzip.compress(b'{"features": [1, 2]}')

NOT_AS_ENCODED = [
    *((_encoded(encoding), encoding) for encoding in ENCODINGS),
    (_encoded("GZIP"), "gzip"),
    (_encoded("gzip", _ZIPPED[:-5] + b"12345"), "gzip"),
    (_encoded("gzip", _ZIPPED + b"zz"), "gzip"),
    (_encoded("deflate", zlib.compress(b'{"features": [1, 2]}')[:-5]), "deflate"),
]


def _said(path: Path, *pieces: bytes) -> tuple[int, Any]:
    """The answer to pieces that come one after the other, from a server that would wait for more than a test does."""

    async def main() -> tuple[int, Any]:
        server = serving(linear_model(path / "m.apr"), body_timeout_s=10 * PATIENCE_S)
        async with server as (_, url), connecting(url) as connect:
            reader, writer = await connect()
            for place, piece in enumerate(pieces):
                if place:
                    await asyncio.sleep(0.15)  # longer than a body is waited for on the short way
                writer.write(piece)
            status, _, answer = await read_answer(reader)
            return status, json.loads(answer)

    return asyncio.run(main())


@pytest.fixture(autouse=True)
def nothing_is_logged(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr("inferir.server.request.connection._LINGERING_S", 0.05)
    yield
    assert not [record for record in caplog.records if record.name.startswith(("aiohttp", "asyncio"))]


@pytest.mark.parametrize(("request_", "message"), NO_HTTP)
def test_what_is_not_http(tmp_path: Path, request_: bytes, message: str) -> None:
    status, body = _said(tmp_path, request_)
    assert (status, body["code"], body["message"]) == (400, "BAD_REQUEST", message)
    assert "secr" not in str(body)


@pytest.mark.parametrize("place", [len(_CHUNKED), len(_CHUNKED) + 1, len(_CHUNKED) + 7])
def test_a_body_that_stops_being_http_is_not_waited_for(tmp_path: Path, place: int) -> None:
    data = _CHUNKED + b"2\r\n{}\r\nzz\r\n{}\r\n0\r\n\r\n"
    status, body = _said(tmp_path, data[:place], data[place:])
    assert (status, body["message"]) == (400, "expected chunk sizes in hexadecimal digits, got something else")


@pytest.mark.parametrize(("request_", "encoding"), NOT_AS_ENCODED)
@pytest.mark.parametrize("cut", ["whole", "head", "body"])
def test_a_body_that_is_not_as_encoded(tmp_path: Path, request_: tuple[bytes, bytes], encoding: str, cut: str) -> None:
    head, body = request_
    pieces = {"whole": [head + body], "head": [head, body], "body": [head + body[:3], body[3:]]}[cut]
    status, said = _said(tmp_path, *pieces)
    message = f"expected a body in Content-Encoding {encoding}, got something else"
    assert (status, said["code"], said["message"]) == (400, "BAD_REQUEST", message)


def test_a_body_that_is_not_as_encoded_behind_a_refusal(tmp_path: Path) -> None:
    """It is dropped while the answer is on its way, and nothing is said of it."""
    assert _said(tmp_path, *_encoded("gzip", path="/nowhere"))[0] == 404


@pytest.mark.parametrize("encoding", ["foo", "gzip, br", "compress", "gz\xefp", *{"zstd", "br"} - {*ENCODINGS}])
def test_encodings_that_are_not_read(tmp_path: Path, encoding: str) -> None:
    for pieces in ((b"".join(_encoded(encoding)),), _encoded(encoding)):
        status, body = _said(tmp_path, *pieces)
        assert (status, body["code"]) == (415, "UNSUPPORTED_MEDIA")
        assert body["message"].startswith(f"expected Content-Encoding {ENCODINGS_READ}, got ")
        assert encoding in body["message"] or not encoding.isascii()


def test_encodings_that_are_read(tmp_path: Path) -> None:
    for encoding, body in (
        ("gzip", _ZIPPED),
        ("Gzip", _ZIPPED),
        ("deflate", zlib.compress(b'{"features": [1, 2]}')),
        ("identity", b'{"features": [1, 2]}'),
    ):
        assert _said(tmp_path, *_encoded(encoding, body))[1]["prediction"] == 4.0
    with pytest.raises(UnsupportedMediaError):
        check_encoding("zip")


@given(st.text(), st.sampled_from([http_exceptions.BadHttpMessage, http_exceptions.InvalidURLError, ValueError]))
def test_any_error_is_said_in_one_line(text: str, kind: Any) -> None:
    message = refusal_of(kind(text)).message
    assert message.startswith("expected ")
    assert message.isprintable()
    assert len(message) < 200
