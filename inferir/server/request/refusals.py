"""What is said of a request that is not HTTP, or whose body is not what its head says: tables from what aiohttp and its
parser llhttp raise to what was expected. Their own texts quote bytes, in several lines; ours show no header's value,
which may be a key: of what should be a request's line no more than that line, of what should be a method a word.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from aiohttp import http_exceptions
from aiohttp.compression_utils import HAS_BROTLI, HAS_ZSTD

from inferir.server.errors import RequestError, UnsupportedMediaError

__all__ = ["check_encoding", "refusal_of"]

#: Encodings of bodies that are read. aiohttp reads the last two where their packages are installed.
ENCODINGS = ("gzip", "deflate", *("br",) * HAS_BROTLI, *("zstd",) * HAS_ZSTD)

#: Not encoded.
_PLAIN = ("identity", "")

_LONGEST_SHOWN = 60

_LINE, _WORD = "the line", "its first word"

#: Reasons of llhttp (deps/llhttp/src/llhttp.c), in lower case: what one begins with, what was expected, and what
#: came; _LINE, _WORD: what stands in the line in which it was found. The first that fits holds.
_REASONS: tuple[tuple[str, str, str], ...] = (
    ("invalid method", "a method of HTTP in capitals", _WORD),
    ("expected space after method", "a method of HTTP in capitals", _WORD),
    ("expected http/", "HTTP/1.1 or HTTP/1.0 behind the path", _LINE),
    ("expected source method", "HTTP/1.1 or HTTP/1.0 behind the path", _LINE),
    ("expected crlf after version", "a request line that ends in CR LF", _LINE),
    ("invalid http version", "HTTP/1.1 or HTTP/1.0 behind the path", _LINE),
    ("invalid major version", "HTTP/1.1 or HTTP/1.0 behind the path", _LINE),
    ("invalid minor version", "HTTP/1.1 or HTTP/1.0 behind the path", _LINE),
    ("expected dot", "HTTP/1.1 or HTTP/1.0 behind the path", _LINE),
    ("invalid char in url", "a path that begins with / and is percent-encoded", _LINE),
    ("invalid characters in url", "a path that begins with / and is percent-encoded", _LINE),
    ("duplicate content-length", "one Content-Length", "several"),
    ("empty content-length", "a Content-Length in decimal digits", "something else"),
    ("invalid character in content-length", "a Content-Length in decimal digits", "something else"),
    ("content-length overflow", "a Content-Length below 2**64", "more"),
    ("content-length can't", "Content-Length or Transfer-Encoding, and not both", "both"),
    ("transfer-encoding can't", "Content-Length or Transfer-Encoding, and not both", "both"),
    ("request has invalid `transfer-encoding", "Transfer-Encoding chunked", "another"),
    ("invalid `transfer-encoding", "Transfer-Encoding chunked", "another"),
    ("invalid header token", "header lines of a name without blanks, a colon and a value", "something else"),
    ("invalid header field char", "header lines of a name without blanks, a colon and a value", "something else"),
    ("invalid header value char", "headers without control characters", "some"),
    ("missing expected cr after header", "header lines that end in CR LF", "something else"),
    ("missing expected lf after header", "header lines that end in CR LF", "something else"),
    ("expected lf after headers", "header lines that end in CR LF", "something else"),
    ("data after `connection: close`", "nothing behind a request with Connection: close", "more"),
    ("chunk size overflow", "chunk sizes below 2**64", "more"),
    ("invalid character in chunk size", "chunk sizes in hexadecimal digits", "something else"),
    ("invalid character in chunk ext", "chunks of a size, CR LF, so many bytes, CR LF", "something else"),
    ("expected lf after chunk", "chunks of a size, CR LF, so many bytes, CR LF", "something else"),
    ("missing expected cr after chunk", "chunks of a size, CR LF, so many bytes, CR LF", "something else"),
)

#: The same of what aiohttp finds itself.
_TEXTS: tuple[tuple[str, str], ...] = (
    ("Too many headers", "expected at most 128 headers, got more"),
    ("Missing 'Host'", "expected a Host header, got none"),
    ("Received HTTPS", "expected HTTP, got TLS; this port has none"),
)


def check_encoding(encoding: str) -> None:
    """Raises UnsupportedMediaError (415) for a Content-Encoding that is not read, or several of them."""
    if encoding.lower() not in (*ENCODINGS, *_PLAIN):
        raise UnsupportedMediaError(f"expected Content-Encoding {_alternatives()}, got {_shown(encoding)}")


def refusal_of(error: BaseException) -> RequestError:
    """What is said of an error of aiohttp while it reads a request, or of the one that it was raised from."""
    if isinstance(error.__cause__, http_exceptions.HttpProcessingError):
        error = error.__cause__
    for kind, say in _KINDS:
        if isinstance(error, kind):
            return say(error)
    return RequestError(f"expected a request as HTTP/1.1 has them, got one that could not be read: {_name(error)}")


def _too_long(error: http_exceptions.LineTooLong) -> RequestError:
    return RequestError(f"expected a path and headers of at most {error.args[1]} bytes each, got more")


def _header(error: http_exceptions.InvalidHeader) -> RequestError:
    if error.hdr == "Sec-WebSocket-Key1":
        return RequestError("expected HTTP, got a WebSocket handshake")
    return RequestError("expected headers without control characters, got some")


def _url(error: http_exceptions.InvalidURLError) -> RequestError:
    if ":\n" in error.message:
        return _message(error)
    return RequestError(f"expected a path, or a URL with a host, got {_shown(error.message)}")


def _encoded(error: http_exceptions.ContentEncodingError) -> RequestError:
    text = error.message
    if "Please install" in text:
        return UnsupportedMediaError(
            f"expected Content-Encoding {_alternatives()}, got {text.partition('(')[2].partition(')')[0]}"
        )
    return RequestError(f"expected a body in Content-Encoding {text.rpartition(' ')[2]}, got something else")


def _message(error: http_exceptions.HttpProcessingError) -> RequestError:
    """llhttp's reason stands in front of ":", an empty line, and the repr of the line in which it was found."""
    text = error.message.removeprefix("Bad status line:\n  ")
    for begin, said in _TEXTS:
        if text.startswith(begin):
            return RequestError(said)
    if text.startswith("Duplicate '"):
        name = text.split("'")[1]
        return RequestError(f"expected one {name} header, got several")
    reason, _, found = text.partition(":\n\n  b")
    line = re.split(r"\n|\\[nr]", found, maxsplit=1)[0].strip("'\"")
    for begin, expected, got in _REASONS:
        if reason.lower().startswith(begin):
            return RequestError(f"expected {expected}, got {_QUOTED[got](line) if got in _QUOTED else got}")
    return RequestError(f"expected a request as HTTP/1.1 has them, got one with a fault: {_name(error)}")


#: The most special first.
_KINDS: tuple[tuple[type[BaseException], Callable[[Any], RequestError]], ...] = (
    (http_exceptions.LineTooLong, _too_long),
    (http_exceptions.InvalidHeader, _header),
    (http_exceptions.InvalidURLError, _url),
    (http_exceptions.ContentEncodingError, _encoded),
    (http_exceptions.HttpProcessingError, _message),
)


def _alternatives() -> str:
    return f"{', '.join(ENCODINGS[:-1])} or {ENCODINGS[-1]}"


def _name(error: BaseException) -> str:
    return type(error).__name__


def _shown(text: str) -> str:
    """Its first line, on one."""
    return _cut(ascii(text.partition("\n")[0].partition("\r")[0]))


#: What is quoted of a line that is escaped as in Python.
_QUOTED: Mapping[str, Callable[[str], str]] = {
    _LINE: lambda line: _cut(f"'{line}'"),
    _WORD: lambda line: _cut(f"'{re.split('[ :]', line, maxsplit=1)[0]}'"),
}


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}..."
