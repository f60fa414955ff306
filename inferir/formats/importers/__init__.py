"""Importers: from a fitted estimator, a booster or a file to a ModelSpec.

Two tables say what can be imported, and by which function: CLASSES by the class of an object, FILES by the kind of a
file. Nothing is imported to look something up, and a file needs none of the library that wrote it.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from inferir.errors import UnsupportedModelError
from inferir.formats.importers import sklearn
from inferir.formats.importers._builder import Answers, Builder, Rows
from inferir.formats.spec import ModelSpec

__all__ = ["CLASSES", "FILES", "import_model"]

#: "package.Class" -> "module:function"
CLASSES: dict[str, str] = {
    **sklearn.CLASSES,
}


def class_key(estimator: Any) -> str:
    """"package.Class": the name by which a class is looked up, wherever in its package it is defined."""
    kind = type(estimator)
    return f"{kind.__module__.partition('.')[0]}.{kind.__qualname__}"


def _function(path: str) -> Callable[..., Any]:
    module, _, name = path.partition(":")
    return getattr(importlib.import_module(f"inferir.formats.importers.{module}"), name)  # type: ignore[no-any-return]


def dispatch(estimator: Any, builder: Builder, rows: Rows) -> Answers:
    """Import one estimator, or one part of a larger one."""
    key = class_key(estimator)
    path = CLASSES.get(key)
    if path is None:
        package = key.partition(".")[0]
        names = sorted(name.partition(".")[2] for name in CLASSES if name.startswith(package + "."))
        raise builder.unsupported(key, f"of {package}: {', '.join(names)}" if names else f"{', '.join(_packages())}")
    answers: Answers = _function(path)(estimator, builder, rows)
    return answers


def _packages() -> list[str]:
    return sorted({key.partition(".")[0] for key in CLASSES})


def import_model(source: Any, *, name: str | None = None, version: str | None = None) -> ModelSpec:
    """The model in `source`: a fitted estimator or booster, or a path to a file.

    Raises UnsupportedModelError (E004) that says what it was, where it stood, and what is supported.
    """
    if isinstance(source, (str, os.PathLike)):
        return _import_file(os.fspath(source), name, version)
    builder = Builder(_width(source), _names(source), dispatch)
    answers = dispatch(source, builder, builder.rows())
    return builder.spec(
        answers,
        name=name or type(source).__name__,
        version=version or "",
        framework=_framework(source),
    )


def _import_file(path: str, name: str | None, version: str | None) -> ModelSpec:
    raise UnsupportedModelError(f"{path!r} is not a kind of file that can be imported")


FILES: dict[str, str] = {}


def _width(estimator: Any) -> int:
    for attribute in ("n_features_in_", "n_features_", "num_features", "num_feature"):
        value = getattr(estimator, attribute, None)
        if callable(value):
            value = value()
        if isinstance(value, (int, np.integer)):
            return int(value)
    raise UnsupportedModelError(f"cannot tell how many columns {class_key(estimator)} takes; is it fitted?")


def _names(estimator: Any) -> list[str] | None:
    names = getattr(estimator, "feature_names_in_", None)
    return None if names is None else [str(name) for name in names]


def _framework(estimator: Any) -> dict[str, str]:
    package = type(estimator).__module__.partition(".")[0]
    module = importlib.import_module(package)
    return {"name": {"sklearn": "scikit-learn"}.get(package, package), "version": str(getattr(module, "__version__", ""))}
