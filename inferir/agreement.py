"""Do two answers to the same rows agree? The numerical contract, as a comparison.

    same      labels, cluster numbers                                             equal
    exact     trees, and steps that compute a value as the source library does    the same number, bit for bit
    link      sigmoid, softmax, exp and the like, somewhere on the way            2 ulp, or 1e-12 relative in double
    sum       sums in another order: products of matrices, distances, norms       1e-5, or 1e-10 in double

Which of them holds for an answer is read from the operators on its way: the loosest. The width is that of our answer. A
sum's rounding error grows with its terms, not with what they add up to, so `sum` is relative to the column's largest
value. NaN agrees with NaN.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from inferir.errors import DimensionError
from inferir.formats.spec import ModelSpec

__all__ = ["Agreement", "Level", "compare", "level_of"]

Level: TypeAlias = Literal["exact", "link", "sum"]
Array: TypeAlias = npt.NDArray[Any]

_ORDER: tuple[Level, ...] = ("exact", "link", "sum")

#: Contract -> its operators. A test keeps this in step with `operators.OPERATORS`.
_OPERATORS: Mapping[Level, str] = {
    "exact": "identity check_finite select concat cast scale min_max binarize impute encode one_hot bins forest "
    "oblivious argmax argmin above at_least complement normalize_sum lookup weighted_median add affine divide relu "
    "signed_square vote_neighbors svm_vote combine compare choose take pick rank linear_in_order",
    "link": "sigmoid sigmoid_stepwise softmax softmax_stepwise exp exp2 log softplus tanh normal_cdf normal_quantile "
    "power quantile interpolate calibrate apply",
    "sum": "linear linear_forest project distances normalize gaussian_nb categorical_nb average_neighbors polynomial "
    "svm_decision svm_ovr svm_couple reduce",
}
LEVELS: Mapping[str, Level] = {name: level for level, names in _OPERATORS.items() for name in names.split()}

_LINK_ULP = 2
_RELATIVE: Mapping[tuple[Level, int], float] = {("link", 8): 1e-12, ("sum", 4): 1e-5, ("sum", 8): 1e-10}


@dataclass(frozen=True)
class Agreement:
    """How far apart two answers are. Differences are the largest over all values, and None where they are labels.

    answer, contract  what was asked for, and what has to hold.
    values            number of values compared; `unequal` of them differ.
    largest_ulp       floats of our width that lie between ours and theirs; NaN on one side only counts as all of them.
    first_outside     row of the first value outside the contract, or None.
    within            whether the contract holds.
    """

    answer: str
    contract: str
    rows: int
    values: int
    unequal: int
    largest_absolute: float | None
    largest_relative: float | None
    largest_ulp: int | None
    first_outside: int | None
    within: bool

    def plain(self) -> dict[str, Any]:
        """The fields, for JSON."""
        return asdict(self)


def level_of(spec: ModelSpec, answer: str) -> Level:
    """The contract of an answer (a name in `plan.FACES`): that of the loosest operator on its way."""
    producer = {operator.output: operator for operator in spec.operators}
    waiting, seen, loosest = [answer], {"input"}, 0
    while waiting:
        value = waiting.pop()
        if value in seen or value not in producer:
            continue
        seen.add(value)
        loosest = max(loosest, _ORDER.index(LEVELS[producer[value].op]))
        waiting.extend(producer[value].inputs)
    return _ORDER[loosest]


def compare(spec: ModelSpec, answer: str, ours: Array, theirs: Any) -> Agreement:
    """Compare two answers of one shape, (n,) or (n, outputs).

    Raises DimensionError where shapes differ.
    """
    theirs = np.asarray(theirs)
    if theirs.shape != ours.shape:
        raise DimensionError(f"{answer}: expected answers of one shape, got {ours.shape} and {theirs.shape}")
    if ours.dtype.kind != "f":
        return _labels(answer, ours, theirs)
    return _numbers(answer, level_of(spec, answer), ours, theirs)


def _labels(answer: str, ours: Array, theirs: Array) -> Agreement:
    outside = np.broadcast_to(np.asarray(ours != theirs), ours.shape)
    return _agreement(answer, "equal", outside, outside)


def _numbers(answer: str, level: Level, ours: Array, theirs: Array) -> Agreement:
    with np.errstate(over="ignore", invalid="ignore"):
        theirs = theirs.astype(ours.dtype)
        apart = np.abs(ours - theirs)
    both_nan = np.isnan(ours) & np.isnan(theirs)
    unequal = (ours != theirs) & ~both_nan
    finite = np.isfinite(ours) & np.isfinite(theirs)
    absolute = np.where(finite, apart, np.where(unequal, np.inf, 0)).astype(np.float64)
    size = np.maximum(np.abs(ours), np.abs(theirs), dtype=np.float64)
    relative = np.divide(absolute, size, out=np.where(absolute > 0, np.inf, 0.0), where=finite & (size > 0))
    ulp = _ulp(ours, theirs)
    width = ours.dtype.itemsize
    if level == "exact":
        outside, contract = unequal, "bit for bit"
    elif level == "link" and width == 4:
        outside, contract = unequal & (ulp > _LINK_ULP), f"{_LINK_ULP} ulp"
    else:
        bound = _RELATIVE[level, width]
        if level == "sum":
            largest = np.where(finite, size, 0).max(axis=0, initial=0)
            outside, contract = unequal & ~(absolute <= bound * largest), f"{bound:g} of the column's largest"
        else:
            outside, contract = unequal & ~(relative <= bound), f"{bound:g} relative"
    return _agreement(answer, contract, unequal, outside, (absolute, relative, ulp))


def _agreement(
    answer: str, contract: str, unequal: Array, outside: Array, differences: tuple[Array, Array, Array] | None = None
) -> Agreement:
    rows = np.flatnonzero(outside.any(axis=tuple(range(1, outside.ndim))))
    absolute, relative, ulp = differences or (None, None, None)
    return Agreement(
        answer=answer,
        contract=contract,
        rows=len(outside),
        values=outside.size,
        unequal=int(unequal.sum()),
        largest_absolute=None if absolute is None else float(absolute.max(initial=0)),
        largest_relative=None if relative is None else float(relative.max(initial=0)),
        largest_ulp=None if ulp is None else int(ulp.max(initial=0)),
        first_outside=int(rows[0]) if len(rows) else None,
        within=not len(rows),
    )


def _ulp(ours: Array, theirs: Array) -> Array:
    """Floats between two floats, as uint64: positions on the line of all floats, -0.0 and 0.0 being one."""
    bits = np.dtype(f"i{ours.dtype.itemsize}")
    places = []
    for values in (ours, theirs):
        place = np.ascontiguousarray(values).view(bits)
        lowest = np.iinfo(bits).min
        place = np.where(place < 0, lowest - place, place)
        places.append(place)
    high, low = np.maximum(*places), np.minimum(*places)
    unsigned = np.dtype(f"u{ours.dtype.itemsize}")
    apart: Array = high.view(unsigned) - low.view(unsigned)
    apart[np.isnan(ours) & np.isnan(theirs)] = 0
    apart[np.isnan(ours) != np.isnan(theirs)] = np.iinfo(unsigned).max
    return apart
