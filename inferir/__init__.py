"""Inferir: the fastest and safest way to run classical machine-learning models.

    import inferir

    inferir.convert(pipeline).save("model.apr")    # scikit-learn, XGBoost, LightGBM, CatBoost, ONNX
    model = inferir.load("model.apr")              # no library of theirs from here on
    model.predict(rows)

Importing this package imports neither Numba nor NumPy; the names below do when they are first used.
"""

from __future__ import annotations

from inferir import errors
from inferir.errors import InferirError

TYPE_CHECKING = False  # typing itself would cost a start on AWS Lambda more than the rest of this package
if TYPE_CHECKING:
    from typing import Any

    from inferir.model import Model, convert, load

__version__ = "0.1.0"

__all__ = ["InferirError", "Model", "__version__", "convert", "errors", "load"]

_LAZY = ("Model", "convert", "load")


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    value = globals()[name] = getattr(importlib.import_module("inferir.model"), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
