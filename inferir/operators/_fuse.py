"""Preprocessing that disappears into the quantiser of a forest: its thresholds are moved, and rows stay as they are.

A forest asks `f(x) <= t`, where f is what preprocessing does to a column. Every kernel in `_links.py` is a function of
one value that never falls, if its constants allow it (a scale above 0, nothing infinite): rounding keeps order. So f
does not fall either, and all x with f(x) <= t are those up to a last one, t': the forest may as well ask `x <= t'`.
That number is searched among the floats of the rows' width (`_floats.py`), with the very kernels that would have run,
of the backend that would have run them. So routing stays exact, whatever they round.

Moved are the cuts of the quantiser's tables, not the thresholds of nodes, after tables were made or came from a file:
files, `inferir verify` and explanations know nothing of it. It happens at binding, where it is known how wide rows are
and which arithmetic they meet. Forests that keep thresholds in their nodes have too many to move while a model loads,
and take so long for a row that preprocessing does not count.

    missing      an f(NaN) that is no NaN, behind an imputer, has a place among a column's thresholds: the code of a
                 missing value becomes its
    checks       a value that `check_finite` refuses behind f is one whose x lies outside of bounds: `check_within`
    columns      that are chosen, moved or put side by side (`select`, `place`) are looked up where they come from
    categories   and zeros that count as missing have to come to the forest as they were: else nothing is fused
    no t'        where f is above t for every x, minus infinity too: nothing is fused

What is not in the table stays a step, and what it computes is quantised. Steps that something else reads stay as well:
a program has the steps that lead to its answers.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from inferir.operators._binder import NUMPY, Array, Binder, BoundStep, Value
from inferir.operators._floats import ends, floats, last
from inferir.operators._links import LINKS, Link
from inferir.operators._quantizer import LAST_CODE, Codes, from_line
from inferir.program import ARRAY
from inferir.program.problems import FINITE
from inferir.program.steps import Argument

__all__ = ["fused"]

#: Of a search for doubles in place of float32: a column has up to 256 thresholds.
_MOST_WIDENED_LEVELS = 2


class _Crossed(NamedTuple):
    """A step that was crossed on the way from a forest back to the rows, and the columns of its result."""

    link: Link
    bound: BoundStep
    arguments: list[Any]
    columns: Array


class _Way(NamedTuple):
    """From columns `places` of what a forest reads, back to `columns` of value `number`; the last step is crossed
    first."""

    places: Array
    number: int
    columns: Array
    crossed: tuple[_Crossed, ...] = ()

    def some(self, own: Array) -> _Way:
        crossed = tuple(c._replace(columns=c.columns[own]) for c in self.crossed)
        return _Way(self.places[own], self.number, self.columns[own], crossed)


def fused(b: Binder, x: Value, codes: Codes, widths: Collection[str]) -> tuple[Value, Codes]:
    """What can be quantised in place of `x`, of one of these dtypes, and the tables by which it gets the codes of x."""
    ways = list(_ways(b, x, widths))
    source = b.value_of(ways[0].number)
    checks = _checks(ways)
    if source.number == x.number or not (_is_kept(codes, ways) and _pays(codes, ways, x, source)):
        return x, codes
    if any(len(np.unique(np.concatenate(columns))) < b.value_of(c.writes).width for c, columns in checks.items()):
        return x, codes  # a check looks at columns that the forest does not see
    with np.errstate(all="ignore"):
        moved = _moved(b, codes, ways, NUMPY[source.dtype])
        if moved is None:
            return x, codes
        for bound in sorted(checks, key=lambda check: check.writes):
            source = _check(b, bound, ways, source)
    return source, moved


def _is_kept(codes: Codes, ways: Sequence[_Way]) -> bool:
    """Whether columns with categories, and with zeros that count as missing, come to the forest as they were."""
    asked = np.concatenate([codes.sets[:-1, 0], codes.group[:-1, 0][codes.group[:-1, 1] != 0]])
    return not any(np.isin(asked, way.places).any() for way in ways if not _is_exact(way.crossed))


def _is_exact(crossed: Sequence[_Crossed]) -> bool:
    return all(c.link.exact for c in crossed)


def _pays(codes: Codes, ways: Sequence[_Way], x: Value, source: Value) -> bool:
    """In doubles, where float32 would do, a search takes longer: casts alone cost less, and so does all that is in
    `LINKS` beside a search of three levels (10,000 rows, 28 columns, AVX-512)."""
    if (source.dtype, x.dtype) != ("f64", "f32"):
        return True
    casts = all(_is_exact([c for c in way.crossed if c.bound.step.kernel != "cast_f32"]) for way in ways)
    return not casts and bool(codes.group[:, 2].max() <= _MOST_WIDENED_LEVELS)


# -- the way back


def _ways(b: Binder, x: Value, widths: Collection[str]) -> Sequence[_Way]:
    """To the value farthest from the forest that all its columns come from. A check that comes first stays as it is."""
    ways: Sequence[_Way] = [_Way(np.arange(x.width), x.number, np.arange(x.width))]
    found = ways
    while True:
        latest = max(way.number for way in ways)
        earlier = [back for way in ways for back in (_back(b, way) if way.number == latest else [way])]
        if sum(len(way.places) for way in earlier) < x.width:
            return found
        ways = earlier
        is_common = all(way.number == ways[0].number for way in ways)
        only_checked = all(way.crossed[-1].bound.step.problem is not None for way in ways if way.crossed)
        if is_common and not only_checked and b.value_of(ways[0].number).dtype in widths:
            found = ways


def _back(b: Binder, way: _Way) -> Iterator[_Way]:
    """The way, one step longer: in parts where several steps made a value; less than all of it where it ends."""
    for bound in b.made_by(way.number):
        kernel = bound.step.kernel
        link = LINKS.get(kernel) or LINKS.get(kernel[:-4])
        if link is None or len(bound.reads) != 1:
            continue
        arguments = [b.value_of(bound.reads[0]), *(_constant(b, a) for a in bound.step.arguments[1:])]
        columns = link.back(arguments, way.columns)
        own = columns >= 0
        if link.constants and not np.all(link.rises(*link.constants(arguments, way.columns[own]))):
            continue
        part = way.some(own)
        crossed = _Crossed(link, bound, arguments, part.columns)
        yield part._replace(number=bound.reads[0], columns=columns[own], crossed=(*part.crossed, crossed))


def _constant(b: Binder, argument: Any) -> Any:
    return b.array(argument) if isinstance(argument, Argument) and argument.kind == ARRAY else argument


def _checks(ways: Sequence[_Way]) -> dict[BoundStep, list[Array]]:
    """Checks that were crossed, and the columns that were met there."""
    found: dict[BoundStep, list[Array]] = {}
    for way in ways:
        for crossed in way.crossed:
            if crossed.bound.step.problem is not None:
                found.setdefault(crossed.bound, []).append(crossed.columns)
    return found


# -- the search


class _Function:
    """What the steps in `crossed` make of values, of dtype `dtype`, of which each belongs to the way's column `k`."""

    def __init__(self, b: Binder, crossed: Sequence[_Crossed], k: Array, dtype: Any) -> None:
        self._dtype = np.dtype(dtype)
        self._calls = [
            (c.link, b.kernel(c.bound.step.kernel), c.link.constants(c.arguments, c.columns[k]), _dtype_of(b, c))
            for c in reversed(crossed)
            if c.link.constants
        ]

    def __call__(self, values: Array) -> Array:
        for _, kernel, constants, dtype in self._calls:
            out = np.empty((1, len(values)), dtype)
            kernel(values[None], *constants, out)
            values = out[0]
        return values

    def last(self, y: Array) -> Array:
        """Numbers of the last floats that do not become more than y (`_floats.last`)."""
        return last(self, y, self._about(y))

    def _about(self, y: Array) -> Array:
        """Infinite values are where the next finite ones would be, if there were one more."""
        limit = float(np.finfo(y.dtype).max) * (1 + float(np.finfo(y.dtype).eps) / 2)
        about = np.clip(y.astype(np.float64), -limit, limit)
        for link, _, constants, _ in reversed(self._calls):
            about = link.inverse(about, *constants)
        return about.astype(self._dtype)


def _dtype_of(b: Binder, crossed: _Crossed) -> Any:
    return NUMPY[b.value_of(crossed.bound.writes).dtype]


def _moved(b: Binder, codes: Codes, ways: Sequence[_Way], dtype: Any) -> Codes | None:
    """Tables that read the source of the ways; None where no value of a column is at or below one of its thresholds."""
    group, sets, plane, cuts = codes.group.copy(), codes.sets.copy(), codes.plane.copy(), codes.cuts
    moved = from_line(cuts.shape, dtype)
    moved[:] = np.inf
    column = np.repeat(group[:-1, 0], np.diff(group[:-1, 4], append=len(cuts)))
    for way in ways:
        k_of = np.full(max(column.max(initial=0), sets[:, 0].max(), way.places.max(initial=0)) + 1, -1)
        k_of[way.places] = np.arange(len(way.places))
        row, pivot = np.nonzero((k_of[column] >= 0)[:, None] & (cuts < np.inf))
        function = _Function(b, way.crossed, k_of[column[row]], dtype)
        number = function.last(cuts[row, pivot])
        if number.min(initial=0) < ends(dtype)[0]:
            return None
        moved[row, pivot] = floats(number, dtype)
        for table, origin in ((group, codes.group), (sets, codes.sets)):
            own = np.flatnonzero(k_of[origin[:-1, 0]] >= 0)
            table[own, 0] = way.columns[k_of[origin[own, 0]]]
        own = np.flatnonzero(k_of[codes.group[:-1, 0]] >= 0)
        filled = _Function(b, way.crossed, k_of[codes.group[own, 0]], dtype)(np.full(len(own), np.nan, dtype))
        for at in np.flatnonzero(~np.isnan(filled)):
            g = own[at]
            planes = slice(group[g, 3], group[g + 1, 3])
            plane[planes, 1] = np.clip(_rank(codes, g, filled[at]) - plane[planes, 0], 0, LAST_CODE)
    return Codes(group, moved, plane, sets, codes.answer)


def _rank(codes: Codes, g: int, value: Any) -> int:
    """How many thresholds of a group are below the value: those of its last level, behind which the next one begins."""
    begin, end = codes.group[g, 3 + codes.group[g, 2]], codes.group[g + 1, 4] if g + 2 < len(codes.group) else None
    return int(np.count_nonzero(codes.cuts[begin:end] < value))


def _check(b: Binder, bound: BoundStep, ways: Sequence[_Way], source: Value) -> Value:
    """The source, if the check `bound` has nothing to say of what comes of it; else it says the same."""
    dtype, checked = NUMPY[source.dtype], NUMPY[b.value_of(bound.writes).dtype]
    low, high = np.full(source.width, -np.inf, dtype), np.full(source.width, np.inf, dtype)
    refuses_nan = np.zeros(source.width, bool)
    for way in ways:
        for place, crossed in enumerate(way.crossed):
            if crossed.bound != bound:
                continue
            n = len(way.columns)
            function = _Function(b, way.crossed[place + 1 :], np.arange(n), dtype)
            largest = floats(function.last(np.full(n, np.finfo(checked).max, checked)), dtype)
            smallest = floats(function.last(np.full(n, -np.inf, checked)) + 1, dtype)
            np.minimum.at(high, way.columns, largest)
            np.maximum.at(low, way.columns, smallest)
            filled = function(np.full(n, np.nan, dtype))
            allow_nan = bool(crossed.arguments[1])
            refuses_nan[way.columns[~np.isfinite(filled) & ~(np.isnan(filled) & allow_nan)]] = True
    missing = np.where(refuses_nan, np.nan, low).astype(dtype)
    out = b.value(source.width, source.dtype, source.names, buffer=source.buffer)
    return b.checked("check_within", source, low, high, missing, out=out, expected=(FINITE,), writes=False)
