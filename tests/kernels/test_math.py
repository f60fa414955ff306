"""Elementary functions against mpmath: the bound in each docstring holds on dense, random and extreme arguments.

The bounds were measured on 60,000 arguments of every range; here are fewer, drawn from the same ranges.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np
import pytest

from inferir.kernels.jit import _math
from tests.kernels.twins import INTERPRETED, Array

PER_RANGE = 150 if INTERPRETED else 600

#: name -> exact function and ranges of the argument; a range in quotes is of exponents of ten, both signs.
FUNCTIONS: dict[str, tuple[Callable[[Any], Any], list[Any]]] = {
    "exp": (mpmath.exp, [(-745, 709.7), (-1, 1), (-745.1, -708), "-300 0"]),
    "expm1": (mpmath.expm1, [(-40, 709.7), (-2, 2), "-300 0"]),
    "log": (mpmath.log, [(0.5, 2), (0.999, 1.001), (0, 1e9), (0, 1e308), (5e-324, 2.3e-308)]),
    "log1p": (mpmath.log1p, [(-0.99999, 2), (-1, -0.9999), (0, 1e308), "-300 -1"]),
    "tanh": (mpmath.tanh, [(-22, 22), (-1, 1), "-300 0"]),
    "sigmoid": (lambda x: 1 / (1 + mpmath.exp(-x)), [(-708, 40), (-4, 4), (-745, -700)]),
    "softplus": (lambda x: mpmath.log1p(mpmath.exp(x)), [(-708, 40), (-4, 4), (-745, -700), (0, 1e308)]),
    "normal_cdf": (mpmath.ncdf, [(-1.5, 1.5), (-5, 8), (-12, -5), (-38.4, -12), (-38.47, -37.5)]),
}


@pytest.fixture(autouse=True)
def precision() -> Any:
    with mpmath.workprec(140), np.errstate(all="ignore"):
        yield


def arguments(ranges: list[Any]) -> Array:
    random = np.random.default_rng(7)
    parts = []
    for bounds in ranges:
        if isinstance(bounds, str):
            low, high = map(float, bounds.split())
            parts.append(10 ** random.uniform(low, high, PER_RANGE) * random.choice([-1, 1], PER_RANGE))
        else:
            low, high = bounds
            parts += [random.uniform(low, high, PER_RANGE), np.linspace(low, high, 60)]
    x = np.concatenate(parts)
    return x[np.isfinite(x)]


def bound(name: str) -> float:
    """What the docstring promises, in units in the last place."""
    stated = re.findall(r"([\d.]+) ulp", getattr(_math, name).__doc__)
    assert len(stated) == 1, f"{name} states {stated}"
    return float(stated[0])


def ulp_error(value: float, exact: Any) -> float:
    """Distance of `value` from an exact number, in spacings of the doubles around it."""
    if exact == 0 or mpmath.isinf(exact):
        return 0.0 if value == exact else math.inf
    if not math.isfinite(value):
        return math.inf
    exponent = int(mpmath.frexp(exact)[1])
    return float(abs(mpmath.mpf(value) - exact) / mpmath.ldexp(1, max(exponent - 53, -1074)))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_error_bound(name: str) -> None:
    function, (exact, ranges) = getattr(_math, name), FUNCTIONS[name]
    errors = {x: ulp_error(float(function(x)), exact(mpmath.mpf(x))) for x in arguments(ranges).tolist()}
    worst = max(errors, key=errors.__getitem__)
    assert errors[worst] <= bound(name), f"{name}({worst!r}) is {errors[worst]:.2f} ulp off"


def test_error_bound_of_normal_quantile() -> None:
    """The error in x is that of the probability over the density: no inverse is needed."""
    p = np.concatenate([arguments([(0.001, 0.999), (1e-6, 0.08)]), 10.0 ** -np.linspace(1, 300, PER_RANGE)])
    p = np.concatenate([p, 1 - 10.0 ** -np.linspace(0.1, 15.9, PER_RANGE)])
    worst = 0.0
    for probability in p.tolist():
        x = float(_math.normal_quantile(probability))
        if probability == 0.5:
            assert x == 0
            continue
        exact = mpmath.mpf(x)
        tail, wanted = (
            (mpmath.ncdf(-exact), 1 - mpmath.mpf(probability)) if x > 0 else (mpmath.ncdf(exact), probability)
        )
        error = abs((tail - wanted) / mpmath.npdf(exact))
        worst = max(worst, float(error) / math.ulp(x))
    assert worst <= bound("normal_quantile")


def test_power() -> None:
    """The better, the smaller y log x is; whole powers of small integers are exact."""
    bases = arguments([(0, 50), (0, 1)])
    for x, y in zip(bases.tolist(), np.random.default_rng(8).uniform(-170, 170, bases.size).tolist(), strict=True):
        exact = mpmath.mpf(x) ** mpmath.mpf(y) if x else 0
        if 1e-300 < exact < 1e300:
            size = abs(y * math.log(x))
            assert abs(_math.power(x, y) / exact - 1) <= 1e-15 + size * 3e-16
    for x in range(20):
        for y in range(12):
            assert _math.power(float(x), float(y)) == x**y


def test_integer_power() -> None:
    for x in np.random.default_rng(9).uniform(-3, 3, 200).tolist():
        for n in (0, 1, 2, 3, 7, 64):
            exact = mpmath.mpf(x) ** n
            assert ulp_error(float(_math.integer_power(x, n)), exact) <= max(n, 1)


NAN, INF = math.nan, math.inf

SPECIAL = {
    "exp": [(NAN, NAN), (INF, INF), (-INF, 0), (0, 1), (-0.0, 1), (710, INF), (709.79, INF), (-746, 0), (-745.2, 0)],
    "expm1": [(NAN, NAN), (INF, INF), (-INF, -1), (0, 0), (-38, -1), (710, INF), (5e-324, 5e-324), (-1e-310, -1e-310)],
    "log": [(NAN, NAN), (INF, INF), (-INF, NAN), (0, -INF), (-0.0, -INF), (-5e-324, NAN), (1, 0)],
    "log1p": [(NAN, NAN), (INF, INF), (-INF, NAN), (-1, -INF), (-1.1, NAN), (0, 0), (5e-324, 5e-324)],
    "tanh": [(NAN, NAN), (INF, 1), (-INF, -1), (0, 0), (400, 1), (-400, -1), (-5e-324, -5e-324)],
    "sigmoid": [(NAN, NAN), (INF, 1), (-INF, 0), (0, 0.5), (-0.0, 0.5), (1e308, 1), (-1e308, 0)],
    "softplus": [(NAN, NAN), (INF, INF), (-INF, 0), (1e308, 1e308), (-1e308, 0), (800, 800)],
    "normal_cdf": [(NAN, NAN), (INF, 1), (-INF, 0), (0, 0.5), (-0.0, 0.5), (-39, 0), (9, 1), (1e308, 1), (-1e308, 0)],
    "normal_quantile": [(NAN, NAN), (0, -INF), (-0.0, -INF), (1, INF), (0.5, 0), (1.1, NAN), (-1e-9, NAN), (INF, NAN)],
}


@pytest.mark.parametrize("name", SPECIAL)
def test_special_values(name: str) -> None:
    for x, right in SPECIAL[name]:
        value = float(getattr(_math, name)(float(x)))
        assert value == right or (math.isnan(value) and math.isnan(right)), f"{name}({x}) is {value}, not {right}"


@pytest.mark.parametrize("name", ["exp", "expm1", "log", "log1p", "tanh", "sigmoid", "softplus", "normal_cdf"])
def test_never_falls(name: str) -> None:
    """Neighbours in order keep their order, but for the error bound: no seam between two formulas shows."""
    low, high = (1e-3, 50.0) if name.startswith("log") else (-50.0, 50.0)
    values = np.array([getattr(_math, name)(x) for x in np.linspace(low, high, 5 * PER_RANGE).tolist()], np.float64)
    assert (np.diff(values) >= -bound(name) * np.spacing(np.abs(values[1:]))).all()
