"""A file becomes a version that answers: read, checked, compiled, warmed up, measured. Blocks: runs in a thread.

Everything that could be slow at the first request happens here: kernels are compiled and called with the shapes that
requests have. What a call of the model costs is measured as well; the server decides by it what may run on the event
loop, what is worth joining into batches, and what cannot meet a deadline any more.
"""

from __future__ import annotations

import logging
import mmap
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from inferir.errors import FileAccessError, InferirError, SignatureError
from inferir.formats import apr
from inferir.model import Model
from inferir.rows import baseline
from inferir.rows.baseline import ColumnBins
from inferir.rows.plain import PlainColumns
from inferir.server.models.background import in_background
from inferir.server.models.registry import Cost, ModelVersion, asked
from inferir.server.models.snapshots import Snapshot
from inferir.server.settings import Settings

__all__ = ["DEFAULT_VERSION", "load_version", "measure"]

_log = logging.getLogger("inferir.server")

#: What a model is called that says no version.
DEFAULT_VERSION = "1"

#: Rows of the larger batch that is timed: enough to tell a row's cost from a call's, and fewer of a model that would
#: need longer than _BATCH_S for them. A slow model is not timed as often as a fast one: a start must not take minutes.
_BATCH_ROWS, _BATCH_S = 256, 0.05
_REPEATS, _REPEAT_S = 5, 0.2


def load_version(snapshot: Snapshot, settings: Settings) -> ModelVersion:
    """The version in a file. Raises FormatError, BackendError (E009), FileAccessError (E010)."""
    started_s = time.monotonic()
    mapping = _mapped(snapshot)
    try:
        spec = in_background(lambda: apr.read(memoryview(mapping or b""), trusted_keys=settings.trusted_keys or None))
    except SignatureError as error:
        error.asked_as = "--trusted-keys (INFERIR_TRUSTED_KEYS)"
        raise
    read_s = time.monotonic()
    model = Model(spec, backend=settings.backend, threads=settings.threads or None)
    for dtype in ("float64", "float32"):
        for rows in (1, _batch_rows(model, dtype)):
            model.answers(np.zeros((rows, len(model.columns)), dtype), model.faces, encoded=True)
    compiled_s = time.monotonic()
    alone, together = asked(model)
    cost = measure(model, alone)
    cost_together = measure(model, together) if together != alone else cost
    stages = {
        "read": read_s - started_s,
        "compile": compiled_s - read_s,
        "warm_up": time.monotonic() - compiled_s,
    }
    return ModelVersion(
        name=model.name,
        version=model.version or DEFAULT_VERSION,
        model=model,
        columns=PlainColumns(model.columns, "f" if model.rows_dtype == "float32" else "d"),
        dtype=np.dtype(model.rows_dtype),
        plain=_plain_ways(model, {alone, together}),
        source=snapshot.source,
        digest=_digest_of(mapping or b""),
        n_bytes=snapshot.n_bytes,
        mapping=mapping,
        cost=cost,
        cost_together=cost_together,
        stages=stages,
        baseline=_baseline(model, snapshot.source) if settings.metrics and settings.drift_rows_per_s else None,
        info=model.info(),
        loaded_at=time.time(),
    )


def _baseline(model: Model, source: str) -> list[ColumnBins] | None:
    """The bins in the file, if it has any. A model whose baseline cannot be read answers all the same."""
    if not model.spec.baseline:
        return None
    try:
        return baseline.read(model.spec.baseline, model.columns)
    except InferirError as error:
        _log.warning("%s: no drift scores: %s", source, error.message)
        return None


def _plain_ways(
    model: Model, asked_for: Iterable[tuple[str, ...]]
) -> dict[tuple[str, ...], Callable[[Any], list[list[Any]]]]:
    """`Model.plain` of the faces that are asked for, called once; nothing where the backend has no such way."""
    ways = {faces: way for faces in asked_for if (way := model.plain(*faces))}
    row = bytes(len(model.columns) * np.dtype(model.rows_dtype).itemsize)
    for way in ways.values():
        way(row)
    return ways


def _mapped(snapshot: Snapshot) -> mmap.mmap | None:
    """The copy, mapped: its pages are those of every process that maps it, and nobody can change or cut it. An empty
    one, which is no model, has no mapping. Raises FileAccessError where a process has too many files or mappings.
    """
    if not snapshot.n_bytes:
        return None
    try:
        with open(snapshot.path, "rb") as file:
            return mmap.mmap(file.fileno(), snapshot.n_bytes, access=mmap.ACCESS_READ)
    except OSError as error:
        raise FileAccessError(f"{snapshot.source}: expected to map its copy, got: {error.strerror or error}") from error


def _digest_of(mapping: mmap.mmap | bytes) -> str:
    """The CRC-32 with which a file ends, checked by the reader, and its size: the same in every worker."""
    return f"{int.from_bytes(mapping[-4:], 'little'):08x}-{len(mapping):x}"


def measure(model: Model, faces: Sequence[str]) -> Cost:
    """What a call costs, from the fastest of a few with one row and with many: other work only makes them slower."""
    width, rows = len(model.columns), _batch_rows(model, model.rows_dtype)
    one_s, many_s = (_fastest(model, np.zeros((n, width), model.rows_dtype), faces) for n in (1, rows))
    row_s = max(many_s - one_s, 0.0) / (rows - 1)
    return Cost(max(one_s - row_s, 0.0), row_s)


def _batch_rows(model: Model, dtype: str) -> int:
    """At least two: one row may have kernels of its own."""
    row = np.zeros((1, len(model.columns)), dtype)
    model.answers(row, model.faces[:1], encoded=True)  # compiled, if it was not
    return max(2, min(_BATCH_ROWS, int(_BATCH_S / _seconds(model, row, model.faces[:1]))))


def _fastest(model: Model, rows: npt.NDArray[Any], faces: Sequence[str]) -> float:
    seconds = [_seconds(model, rows, faces)]
    while len(seconds) < _REPEATS and sum(seconds) < _REPEAT_S:
        seconds.append(_seconds(model, rows, faces))
    return min(seconds)


def _seconds(model: Model, rows: npt.NDArray[Any], faces: Sequence[str]) -> float:
    started_s = time.perf_counter()
    model.answers(rows, faces, encoded=True)
    return time.perf_counter() - started_s
