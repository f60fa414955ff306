"""Kernels and their twins on the same arguments: whole batches, single rows, awkward numbers.

`check` is the law that every kernel keeps: compiled kernels agree with their twin to the numerical contract, a batch
gives the bits that its rows give alone, and what a kernel only reads stays as it was. Compiled are the jit backend and
every library for a level of this CPU; where libraries are older than the sources, `tests/kernels/aot` says so and the
jit backend stands alone.
"""

from __future__ import annotations

import functools
import platform
from collections.abc import Callable, Mapping
from typing import Any

import numba
import numpy as np
import numpy.typing as npt
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from inferir.kernels import select, why_not
from inferir.kernels.aot import library
from inferir.kernels.aot.arrays import Call
from inferir.kernels.signatures import KERNELS

Array = npt.NDArray[Any]

DTYPES = {
    "u8": np.uint8,
    "i32": np.int32,
    "u32": np.uint32,
    "i64": np.int64,
    "f32": np.float32,
    "f64": np.float64,
}

#: What kernels write; all else they only read, or scribble on.
WRITTEN = ("out", "index", "problem", "slot", "node", "packed_root", "place", "kept", "top_left_child", "top_root")
SCRATCH = (
    *("position", "columns", "order", "similarity", "pairwise", "matrix", "step"),
    *("size", "below", "values", "lane", "reached", "owner", "count"),
    *("totals", "sums", "centered", "narrow", "square", "limit", "least", "second", "turned", "slack"),
    *("lengths", "cells", "found", "candidates", "reduced"),
    *("half", "within", "products", "undecided", "decision"),
    *("rank", "codes", "slots", "numbers", "n_leaves", "height", "need", "number", "first_leaf", "waiting"),
    *("tree", "tile", "op", "leaf_row", "step", "step_leaf"),  # a forest has many schedules
    *("left", "gain", "agrees", "bent", "carried", "expected", "contribution"),
)

#: Whether Numba runs the bodies as plain Python (NUMBA_DISABLE_JIT=1): the same laws, fewer and smaller examples.
INTERPRETED = bool(numba.config.DISABLE_JIT)

#: Levels of this CPU that there are libraries for. Interpreted, the bodies are what is looked at.
LEVELS: tuple[str, ...] = ()
if not INTERPRETED and why_not("aot") is None:
    LEVELS = tuple(level for level, _ in library.levels(platform.machine(), library.cpu_flags()))

COMPILED = ("jit", *LEVELS)
BACKENDS = (*COMPILED, "reference")

#: Around the block of 256 rows, around the few rows that forests walk another way, and none.
ROWS = (0, 1, 2, 3, 4, 5, 17, 257) if INTERPRETED else (0, 1, 2, 3, 4, 5, 17, 255, 256, 257, 300, 513)


def examples(n: int) -> Callable[[Any], Any]:
    """Hypothesis settings of a kernel test: `n` examples, without a deadline, as the first may compile."""
    return settings(
        max_examples=max(5, n // 4) if INTERPRETED else n,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )


@functools.cache
def kernel(backend: str, name: str) -> Callable[..., Any]:
    """A kernel of one of BACKENDS."""
    return Call(library.load(backend), KERNELS[name]) if backend in LEVELS else select(backend)[name]


def call(backend: str, name: str, given: Mapping[str, Any], sizes: Mapping[str, int] | None = None) -> dict[str, Array]:
    """Run a kernel on `given`; what it writes is made here, filled with rubbish, from the dimensions of its line."""
    known, arguments = dict(sizes or {}), []
    signature = KERNELS[name]
    for argument in signature.arguments:
        if argument.name in given and argument.dims:
            array = np.array(given[argument.name], DTYPES[argument.dtype], order="C")
            assert array.ndim == len(argument.dims), argument
            for letter, length in zip(argument.dims, array.shape, strict=True):
                assert known.setdefault(letter, length) == length, f"{name}: {argument.name} has {letter} = {length}"
    for argument in signature.arguments:
        dtype = DTYPES[argument.dtype]
        if argument.name in given:
            value = given[argument.name]
            arguments.append(np.array(value, dtype, order="C") if argument.dims else dtype(value))
        else:
            assert argument.name in WRITTEN + SCRATCH, f"{name} needs {argument.name}"
            shape = tuple(int(letter) if letter.isdigit() else known[letter] for letter in argument.dims)
            arguments.append(np.full(shape, 255 if dtype is np.uint8 else 77, dtype))  # no byte is a code of 255
    before = [np.array(argument) for argument in arguments]
    with np.errstate(all="ignore"):  # interpreted kernels are NumPy scalars, which warn
        kernel(backend, name)(*arguments)
    written = {}
    for argument, value, was in zip(signature.arguments, arguments, before, strict=True):
        if argument.name in WRITTEN:
            written[argument.name] = value
        elif argument.name not in SCRATCH or argument.name in given:
            assert same_bits(np.asarray(value), was), f"{name} wrote to {argument.name}"
    return written


def same_bits(a: Array, b: Array) -> bool:
    """Equal to the bit, where any NaN equals any other."""
    if a.shape != b.shape or a.dtype != b.dtype:
        return False
    if a.dtype.kind == "f":
        nan = np.isnan(a)
        return bool(np.array_equal(nan, np.isnan(b)) and np.where(nan, 0, a).tobytes() == np.where(nan, 0, b).tobytes())
    return a.tobytes() == b.tobytes()


def assert_close(ours: Array, right: Array, relative: float = 0.0, size: Any = 0.0, ulp: float = 0.0) -> None:
    """NaN and infinities equal, the rest within `relative` of max(|right|, size), or `ulp` units in the last place.

    `size` is for sums: the magnitude of their terms. With all three 0, equal but for the sign of zero.
    """
    right = np.asarray(right)
    assert ours.shape == right.shape
    finite = np.isfinite(right)
    np.testing.assert_array_equal(np.where(finite, 0, ours), np.where(finite, 0, right))
    with np.errstate(over="ignore", invalid="ignore"):
        magnitude = np.maximum(np.abs(np.where(finite, right, 0).astype(np.float64)), size)
        allowed = relative * magnitude
        if ulp:
            allowed = np.maximum(allowed, ulp * np.spacing(np.abs(np.where(finite, right, 0)).astype(ours.dtype)))
        error = np.abs(np.where(finite, ours.astype(np.float64) - right, 0))
        tiniest = float(np.finfo(ours.dtype).smallest_subnormal) if relative or ulp else 0.0
        wrong = ~(error <= np.maximum(allowed, 2 * tiniest))
    assert not wrong.any(), f"{ours[wrong][:3]} is not {right[wrong][:3]}, error {error[wrong][:3]}"


def _row_numbers(n: int) -> list[int]:
    """Rows to run alone: all of a few, else those around block boundaries."""
    return list(range(n)) if n <= 5 else sorted({0, 1, 2, 3, n // 2, min(255, n - 1), min(256, n - 1), n - 1})


def check(
    name: str,
    given: Mapping[str, Any],
    sizes: Mapping[str, int] | None = None,
    **tolerance: Any,
) -> dict[str, Array]:
    """The law. Returns what the compiled kernel wrote; `tolerance` is `assert_close`'s, none means bits."""
    answers = {backend: call(backend, name, given, sizes) for backend in BACKENDS}
    right = answers["reference"]
    for backend in COMPILED:
        for argument, written in answers[backend].items():
            if tolerance and argument == "out":
                assert_close(written, right["out"], **tolerance)
            else:
                unlike = f"{backend} {name}: {argument}\n{written}\n{right[argument]}"
                assert same_bits(written, right[argument]), unlike
    by_row = {a.name: a for a in KERNELS[name].arguments if a.dims and a.dims[0] == "n"}
    if "out" in by_row:
        for backend, batch in answers.items():
            for i in _row_numbers(len(batch["out"])):
                row = {key: value[i : i + 1] if key in by_row else value for key, value in given.items()}
                alone = call(backend, name, row, sizes)
                for argument in alone.keys() & by_row.keys():
                    assert same_bits(alone[argument][0], batch[argument][i]), f"{backend} {name}: row {i} alone differs"
    return answers["jit"]


SPECIAL = (np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, -1.0, 0.5, 1e-35, -1e-35, 5e-324, -1e-310, 1e-40, 2.0**-126)


def numbers(width: str, finite: bool = False, limit: float | None = None) -> st.SearchStrategy[float]:
    """Numbers of a float width, special ones often. `limit` bounds their magnitude."""
    bound = float(np.finfo(DTYPES[width]).max) if limit is None else float(DTYPES[width](limit))
    of_width = [float(DTYPES[width](v)) for v in SPECIAL]
    special = [v for v in of_width if np.isfinite(v) or not finite]
    return st.sampled_from(special) | st.floats(-bound, bound, width=int(width[1:]))


@st.composite
def matrices(
    draw: Any,
    width: str = "f64",
    rows: int | None = None,
    columns: int | tuple[int, int] = (1, 5),
    *,
    finite: bool = False,
    limit: float | None = None,
) -> Array:
    """A matrix [rows, columns]: small ones drawn number by number, big ones from a seed, special values strewn in."""
    n = draw(st.sampled_from(ROWS)) if rows is None else rows
    d = columns if isinstance(columns, int) else draw(st.integers(*columns))
    dtype = DTYPES[width]
    if n * d <= 30:
        return draw(hnp.arrays(dtype, (n, d), elements=numbers(width, finite, limit)))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    exponent = draw(st.sampled_from([0.0, 1.0, 8.0, 30.0]))
    x = random.normal(size=(n, d)) * 10.0 ** random.uniform(-exponent, exponent, (n, d))
    if limit is not None:
        x = np.clip(x, -limit, limit)
    special = [v for v in SPECIAL if np.isfinite(v)] if finite else list(SPECIAL)
    strewn = random.random((n, d)) < draw(st.sampled_from([0.0, 0.02, 0.3]))
    x[strewn] = random.choice(special, strewn.sum())
    return x.astype(dtype)


widths = st.sampled_from(["f32", "f64"])


def begins(lengths: Any) -> Array:
    """Offsets of runs of these lengths: 0, and each run's end."""
    return np.concatenate([[0], np.cumsum(np.asarray(lengths, np.int64))]).astype(np.int64)
