"""Lines of the log for many requests at once. What differs between two lines of one kind is a few digits and ids, so
all of them are written side by side, column by column, as a page of bytes that has a row for each.

What is shorter than its column is filled up with NULs, which JSON never has as they are: they go at the end.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, TypeAlias

import msgspec
import numpy as np
import numpy.typing as npt

from inferir.server.telemetry.records import ENDED_S, KIND, ROWS, STARTED_S, Kind
from inferir.server.telemetry.trace_context import trace_id_of

__all__ = ["request_lines"]

_Column: TypeAlias = npt.NDArray[np.uint8]

_encode = msgspec.json.encode
_US = 1_000_000


def request_lines(
    kinds: Sequence[Kind], numbers: npt.NDArray[np.float64], texts: npt.NDArray[Any], epoch_s: float
) -> bytes:
    """A line for each record, in their order. See `records.Reader`; `epoch_s` is the time at monotonic time 0."""
    ended_s, kind = numbers[:, ENDED_S], numbers[:, KIND].astype(np.int64)
    ended_us = ((ended_s + epoch_s) * _US).astype(np.int64)
    took_us = np.rint((ended_s - numbers[:, STARTED_S]) * _US).astype(np.int64)
    second, in_second = np.unique(ended_us // _US, return_inverse=True)
    columns = [
        _chosen([time.strftime('{"time":"%Y-%m-%dT%H:%M:%S.', time.gmtime(s)).encode() for s in second], in_second),
        _fraction(ended_us),
        _chosen([_common(each) for each in kinds], kind),
        _integers(took_us // _US),
        _always(b".", kind),
        _fraction(took_us),
        _always(b',"rows":', kind),
        _integers(numbers[:, ROWS].astype(np.int64)),
        _chosen([_about(each) for each in kinds], kind),
        *_field("request_id", _escaped(texts[:, :1])),
        *_field("trace_id", _trace_ids(texts[:, 1:])),
        _always(b"}\n", kind),
    ]
    return np.concatenate(columns, axis=1).tobytes().replace(b"\0", b"")


def _common(kind: Kind) -> bytes:
    """What stands between the time and the seconds that it took."""
    fields = {
        "level": _level(kind.status),
        "event": "request",
        "method": kind.route.method,
        "route": kind.route.path,
        "status": kind.status,
    }
    return b'Z",' + _encode(fields)[1:-1] + b',"seconds":'


def _about(kind: Kind) -> bytes:
    """What there is to say of the model and its answer."""
    fields = {name: said for name in ("model", "version", "code", "shed", "key") if (said := getattr(kind, name))}
    return b"," + _encode(fields)[1:-1] if fields else b""


def _level(status: int) -> str:
    """503 is what a server says that is not ready, or has enough to do: no fault of it."""
    return "info" if status < 500 else "warning" if status == HTTPStatus.SERVICE_UNAVAILABLE else "error"


# -- columns


def _chosen(texts: Sequence[bytes], which: npt.NDArray[np.int64]) -> _Column:
    return np.array(texts)[which].view(np.uint8).reshape(len(which), -1)


def _always(text: bytes, which: npt.NDArray[np.int64]) -> _Column:
    return np.broadcast_to(np.frombuffer(text, np.uint8), (len(which), len(text)))


def _digits(values: npt.NDArray[np.int64], width: int) -> _Column:
    return (values[:, None] // 10 ** np.arange(width - 1, -1, -1) % 10 + ord("0")).astype(np.uint8)


def _fraction(microseconds: npt.NDArray[np.int64]) -> _Column:
    """Of a second, six digits."""
    return _digits(microseconds % _US, 6)


def _integers(values: npt.NDArray[np.int64]) -> _Column:
    """Not negative, without zeros in front."""
    width = len(str(values.max(initial=0)))
    needed = values[:, None] >= 10 ** np.arange(width - 1, -1, -1)
    needed[:, -1] = True
    return _digits(values, width) * needed


def _field(name: str, values: _Column | None) -> Sequence[_Column]:
    """A string for those that have one."""
    if values is None:
        return ()
    some = (values[:, :1] != 0).view(np.uint8)
    opened = np.frombuffer(f',"{name}":"'.encode(), np.uint8)
    return opened * some, values, ord('"') * some


def _escaped(texts: npt.NDArray[Any]) -> _Column | None:
    """As in a string of JSON; None where all are empty."""
    words = np.flatnonzero(texts.view(np.uint64).any(axis=0))
    if not len(words):
        return None
    found = texts.view(np.uint8)[:, : 8 * int(words[-1] + 1)]
    plain = (found >= ord(" ")) & (found < 0x7F) & (found != ord('"')) & (found != ord("\\"))
    if not (plain | (found == 0)).all():
        found = _column([_encode(text.decode("utf-8", "replace"))[1:-1] for text in texts[:, 0].tolist()])
    return found


def _trace_ids(texts: npt.NDArray[Any]) -> _Column | None:
    if not texts.view(np.uint64)[:, 0].any():
        return None
    return _column([trace_id_of(text.decode("utf-8", "replace")).encode() for text in texts[:, 0].tolist()])


def _column(texts: Sequence[bytes]) -> _Column:
    return np.array(texts).view(np.uint8).reshape(len(texts), -1)
