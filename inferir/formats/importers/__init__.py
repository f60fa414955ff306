"""Importers: from a fitted estimator, a booster or a file to a ModelSpec.

Two tables say what can be imported, and by which function: CLASSES by the class of an object, FILES by the kind of a
file. Nothing is imported to look something up, and a file needs none of the library that wrote it.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from inferir.errors import FileAccessError, UnsupportedModelError
from inferir.formats.importers import catboost, lightgbm, sklearn, xgboost
from inferir.formats.importers._builder import Answers, Builder, Rows
from inferir.formats.spec import ModelSpec

__all__ = ["CLASSES", "FILES", "import_model"]

#: "package.Class" -> "module:function"
CLASSES: dict[str, str] = {
    **sklearn.CLASSES,
    **lightgbm.CLASSES,
    **catboost.CLASSES,
    **xgboost.CLASSES,
}

#: Kind of file -> how its first bytes look, and the "module:function" that takes all bytes and returns
#: (builder, answers, framework).
FILES: dict[str, tuple[str, str]] = {
    "LightGBM text": (r"tree\r?\n", "lightgbm.booster:text_file"),
    "CatBoost JSON": (
        r'\s*\{\s*"(ctr_data|features_info|model_info|oblivious_trees|scale_and_bias|trees)"\s*:',
        "catboost.model:json_file",
    ),
    "XGBoost JSON": (r'\s*\{\s*"(learner|version)"\s*:', "xgboost.booster:model_file"),
    "XGBoost UBJSON": (r"\{[iUIlL]\x00*\x07(learner|version)", "xgboost.booster:model_file"),
    # A protocol buffer that begins with field 1, the IR version, and goes on with one of fields 2 to 8.
    "ONNX": (r"\x08[\x01-\x7f][\x12\x1a\x22\x28\x32\x3a\x42]", "onnx.model:onnx_file"),
}

#: Bytes of a file that are looked at to tell its kind.
_HEAD_BYTES = 4096

#: Kind of file that cannot be read -> how its first bytes look, and what to do.
_HINTS: dict[str, tuple[str, str]] = {
    "CatBoost's binary": ("CBM1", "save the model with format='json'"),
    "XGBoost's old binary": ("binf", 'load it with the XGBoost that wrote it and use save_model("model.json")'),
    "a pickle": (r"\x80[\x02-\x05]", "loading one runs code; load it yourself and convert the object"),
}


def class_key(estimator: Any) -> str:
    """`package.Class`, the name by which a class is looked up, wherever in its package it is defined."""
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
    """The model in a file, whose kind its first bytes tell."""
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise FileAccessError(f"cannot read {path!r}: {error.strerror or error}") from error
    head = data[:_HEAD_BYTES].decode("latin-1")
    function = next((function for pattern, function in FILES.values() if re.match(pattern, head)), None)
    if function is None:
        kind = next((f", but {kind}: {hint}" for kind, (look, hint) in _HINTS.items() if re.match(look, head)), "")
        raise UnsupportedModelError(f"{path!r} is not a file that can be imported ({', '.join(FILES)}){kind}")
    builder, answers, framework = _function(function)(data)
    spec: ModelSpec = builder.spec(answers, name=name or Path(path).stem, version=version or "", framework=framework)
    return spec


def _width(estimator: Any) -> int:
    for attribute in ("n_features_in_", "n_features_", "num_features", "num_feature"):
        value = getattr(estimator, attribute, None)
        if callable(value):
            with contextlib.suppress(ValueError):  # XGBoost's, for a booster that has seen no data
                value = value()
        if isinstance(value, (int, np.integer)) and value:
            return int(value)
    if names := getattr(estimator, "feature_names_", None):  # an unpickled CatBoost model says 0 columns
        return len(names)
    raise UnsupportedModelError(f"cannot tell how many columns {class_key(estimator)} takes; is it fitted?")


def _names(estimator: Any) -> list[str] | None:
    names = getattr(estimator, "feature_names_in_", None)
    if names is None or list(names) == [f"Column_{i}" for i in range(len(names))]:  # LightGBM's, for want of names
        return None
    return [str(name) for name in names]


def _framework(estimator: Any) -> dict[str, str]:
    package = type(estimator).__module__.partition(".")[0]
    module = importlib.import_module(package)
    name = {"sklearn": "scikit-learn"}.get(package, package)
    return {"name": name, "version": str(getattr(module, "__version__", ""))}
