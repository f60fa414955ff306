"""What an objective makes of the margin, and of the base score: the tables of XGBoost's src/objective.

A file holds the base score as the objective's answer ("5E-1" is a probability), and trees add up from its margin: the
inverse of the link. XGBoost takes that in float32 with its C library, so `log32` is that library's logarithm.
"""

from __future__ import annotations

import contextlib
import ctypes
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from inferir.formats.spec import Task

__all__ = ["LABEL_MARGIN", "OBJECTIVES", "Objective", "base_margins", "log32"]

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Objective:
    """`task` of a booster with this objective, and the link: margin -> answer.

    sigmoid   1 / (1 + e**-x)
    exp       e**x
    step      1 where x > 0, else 0
    softmax   probabilities of all classes
    largest   the class of the largest margin
    identity  the margin itself
    """

    task: Task
    link: str
    base: str = "identity"


OBJECTIVES: dict[str, Objective] = {
    **dict.fromkeys(
        (
            "reg:squarederror", "reg:linear", "reg:squaredlogerror", "reg:pseudohubererror", "reg:absoluteerror",
            "reg:quantileerror", "binary:logitraw",
        ),
        Objective("regression", "identity"),
    ),
    "reg:logistic": Objective("regression", "sigmoid", "logit"),
    **dict.fromkeys(
        ("count:poisson", "reg:gamma", "reg:tweedie", "survival:cox", "survival:aft"),
        Objective("regression", "exp", "log"),
    ),
    **dict.fromkeys(("rank:pairwise", "rank:ndcg", "rank:map"), Objective("ranking", "identity")),
    "binary:logistic": Objective("classification", "sigmoid", "logit"),
    "binary:hinge": Objective("classification", "step"),
    "multi:softprob": Objective("classification", "softmax"),
    "multi:softmax": Objective("classification", "largest"),
}  # fmt: skip

#: The largest margin whose probability XGBoost does not take for more than 1/2. In float32 1 + e**-x is still 2 where
#: e**-x is 1 - 2**-24, and that is what e**-x rounds to up to here.
LABEL_MARGIN = 1.5 * 2.0**-24

#: XGBoost's kRtEps: since 3.2 a base score is kept this far from 0 and 1 before its logit is taken.
_LOGIT_EDGE = np.float32(1e-6)


def base_margins(objective: Objective, base_score: Array, version: tuple[int, ...]) -> Array:
    """Base scores -> margins, float32 (ProbToMargin)."""
    if objective.base == "identity":
        return base_score
    one = np.float32(1)
    if objective.base == "log":
        return np.array([log32(score) for score in base_score], np.float32)
    if version >= (3, 2):
        base_score = np.clip(base_score, _LOGIT_EDGE, one - _LOGIT_EDGE)
    with np.errstate(divide="ignore"):
        return np.array([-log32(one / score - one) for score in base_score], np.float32)


#: Where a C library may be: what this process has loaded already, Linux, Windows.
_C_LIBRARIES = (None, "libm.so.6", "ucrtbase")


def _logf() -> Callable[[float], float]:
    """The C library's logf, or the rounded double logarithm where there is none."""
    for name in _C_LIBRARIES:
        with contextlib.suppress(OSError, AttributeError, TypeError):  # TypeError: Windows has no CDLL(None)
            function = ctypes.CDLL(name).logf
            function.restype, function.argtypes = ctypes.c_float, [ctypes.c_float]
            return cast("Callable[[float], float]", function)
    return math.log


def log32(x: np.float32) -> np.float32:
    """Natural logarithm of a float32 by the C library, as XGBoost takes it; -inf at 0, NaN below.

    glibc's is, for one float32 in 350, not the one nearest to the logarithm; the base margin is in every sum.
    """
    answer = _logf()(float(x)) if x > 0 else -math.inf if x == 0 else math.nan
    nearest: np.float32 = np.float32(answer)
    return nearest
