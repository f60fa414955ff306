"""What parity tests share: rows that hurt, and the numerical contract as assertions.

A library's answer and ours are compared on rows where a wrong rule shows: exactly on thresholds, one unit in the last
place beside them, NaN, infinities, negative zero.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from inferir.formats.spec import ModelSpec

Array = npt.NDArray[Any]

WIDTHS = {"f32": np.float32, "f64": np.float64}


def thresholds(spec: ModelSpec) -> dict[int, Array]:
    """Column -> thresholds it meets, over all forests of the model (which must read the input columns as they are)."""
    found: dict[int, list[Array]] = {}
    for operator in spec.operators:
        if "threshold" in operator.tensors and "split_index" in operator.tensors:
            tensors = {role: spec.tensors[name] for role, name in operator.tensors.items()}
            values = np.frombuffer(tensors["threshold"].data, WIDTHS[tensors["threshold"].dtype])
            columns = np.frombuffer(tensors["split_index"].data, np.int32)
            for column in np.unique(columns):
                found.setdefault(int(column), []).append(values[columns == column].astype(np.float64))
    return {column: np.unique(np.concatenate(parts)) for column, parts in found.items()}


def hard_rows(
    rows: Array,
    on: Mapping[int, Array] | None = None,
    *,
    n: int = 400,
    seed: int = 0,
    width: type = np.float64,
    nan: bool = True,
    inf: bool = True,
) -> Array:
    """(n, columns) of `width`: rows drawn from `rows`, noise added to half, a third of the cells hard values:
    thresholds `on` that column and their neighbours one ulp (of `width`) away, 0.0, -0.0, NaN, inf, -inf.
    """
    rng = np.random.default_rng(seed)
    out = np.array(rows, np.float64)[rng.integers(len(rows), size=n)].astype(width)
    out[::2] += (rng.standard_normal(out[::2].shape) * out.std(axis=0)).astype(width)
    common: list[float] = [0.0, -0.0, *([np.nan] if nan else []), *([np.inf, -np.inf] if inf else [])]
    for column in range(out.shape[1]):
        special = np.array(common, width)
        if on and column in on and len(on[column]):
            exact = on[column].astype(width)
            exact = exact[np.isfinite(exact)]
            with np.errstate(over="ignore"):  # beside the largest number is infinity
                beside = [np.nextafter(exact, width(-np.inf)), np.nextafter(exact, width(np.inf))]
            special = np.concatenate([exact, *beside, special])
        replaced = rng.random(n) < 1 / 3
        out[replaced, column] = rng.choice(special, replaced.sum())
    return out


def layouts(rows: Array) -> list[tuple[str, Array]]:
    """The same rows as callers may hold them: contiguous, Fortran order, strided, read-only, none, one, many."""
    strided = np.zeros((2 * len(rows), 2 * rows.shape[1]), rows.dtype)[::2, ::2]
    strided[:] = rows
    frozen = rows.copy()
    frozen.flags.writeable = False
    many = np.concatenate([rows] * (5000 // max(1, len(rows)) + 1))
    return [
        ("contiguous", rows),
        ("fortran", np.asfortranarray(rows)),
        ("strided", strided),
        ("read-only", frozen),
        ("none", rows[:0]),
        ("one", rows[:1]),
        ("many", many),
    ]


def assert_bits(ours: Array, theirs: Array) -> None:
    """Equal, NaN to NaN; of the same shape."""
    ours, theirs = np.asarray(ours), np.asarray(theirs)
    assert ours.shape == theirs.shape, f"expected shape {theirs.shape}, got {ours.shape}"
    np.testing.assert_array_equal(ours, theirs)


def assert_ulp32(ours: Array, theirs: Array, ulp: int = 2) -> None:
    """Within `ulp` units in the last place of float32."""
    ours, theirs = np.asarray(ours, np.float32), np.asarray(theirs, np.float32)
    assert ours.shape == theirs.shape, f"expected shape {theirs.shape}, got {ours.shape}"
    np.testing.assert_array_max_ulp(ours, theirs, ulp)


def assert_relative(ours: Array, theirs: Array, relative: float = 1e-12, absolute: float = 0.0) -> None:
    """Within `relative` of the library's value (or `absolute`, where sums cancel); NaN to NaN."""
    ours, theirs = np.asarray(ours), np.asarray(theirs)
    assert ours.shape == theirs.shape, f"expected shape {theirs.shape}, got {ours.shape}"
    np.testing.assert_allclose(ours, theirs, rtol=relative, atol=absolute, equal_nan=True)


def assert_labels(ours: Array, theirs: Sequence[Any] | Array) -> None:
    """The same labels, compared as text so that 1, 1.0 and np.int64(1) are one."""
    ours, theirs = np.asarray(ours), np.asarray(theirs)
    assert ours.shape == theirs.shape, f"expected shape {theirs.shape}, got {ours.shape}"
    np.testing.assert_array_equal(ours.astype(theirs.dtype), theirs)
