"""What an estimator refuses, we refuse: NaN and infinities, as its tags say."""

from __future__ import annotations

from typing import Any

from inferir.formats.importers._builder import Builder, Rows

__all__ = ["allows_nan", "finite"]


def allows_nan(estimator: Any) -> bool:
    """Whether `estimator` takes NaN, from its tags (scikit-learn 1.6 renamed how to ask)."""
    if hasattr(estimator, "__sklearn_tags__"):
        return bool(estimator.__sklearn_tags__().input_tags.allow_nan)
    return bool(estimator._get_tags()["allow_nan"])


def finite(b: Builder, x: Rows, allow_nan: bool = False) -> Rows:
    """The rows behind a check that they are finite, one check for all estimators that read the same rows."""
    return Rows(b.once("check_finite", x.value, allow_nan=allow_nan), x.origins)
