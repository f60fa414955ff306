"""Trained models in files of other libraries: which of them run code when they are loaded, and loading them.

A pickle is a program. joblib's files are pickles, and skops asks which types to trust, so none of them is loaded unless
the user has said that its author is trusted. Models that are data (XGBoost's JSON and UBJ, LightGBM's text, CatBoost's
JSON, ONNX) are read by our importers, and need no such word.
"""

from __future__ import annotations

import importlib.util
import os
import pickle
from collections.abc import Callable, Mapping
from typing import Any

from inferir.errors import BackendError, UnsupportedModelError

__all__ = ["PICKLES", "open_source"]


def _with_joblib(path: str) -> Any:
    if importlib.util.find_spec("joblib") is None:
        with open(path, "rb") as file:
            return pickle.load(file)  # noqa: S301  (the user has said so: open_source)
    import joblib

    return joblib.load(path)


def _with_skops(path: str) -> Any:
    import skops.io

    return skops.io.load(path, trusted=skops.io.get_untrusted_types(file=path))


#: Suffix -> what loads the file.
PICKLES: Mapping[str, Callable[[str], Any]] = {
    ".pkl": _with_joblib,
    ".pickle": _with_joblib,
    ".joblib": _with_joblib,
    ".skops": _with_skops,
}

#: A pickle of protocol 2 or later begins with PROTO and the protocol's number.
_PICKLE_STARTS = tuple(bytes([0x80, protocol]) for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1))


def open_source(path: str, *, trust_pickle: bool) -> Any:
    """What `inferir.convert` takes: the object in a pickle, or the path of any other file.

    Raises OSError if the file cannot be read; UnsupportedModelError (E004) for a pickle that is not trusted or cannot
    be loaded; BackendError (E009) if the library whose object it holds is not installed.
    """
    load = _loader(path)
    if load is None:
        return path
    if not trust_pickle:
        raise UnsupportedModelError(
            f"{path}: loading a pickle runs any code that its author put in it, so it is not loaded; if you made the "
            "file yourself, or would run it as a program, say --trust-pickle"
        )
    try:
        return load(path)
    except ModuleNotFoundError as error:
        raise BackendError(f"{path}: loading it needs the package {error.name!r}, which is not installed") from error
    except Exception as error:  # unpickling runs code, which raises what it likes
        raise UnsupportedModelError(f"{path}: cannot be loaded: {type(error).__name__}: {error}") from error


def _loader(path: str) -> Callable[[str], Any] | None:
    with open(path, "rb") as file:
        start = file.read(2)
    by_content = _with_joblib if start in _PICKLE_STARTS else None
    return PICKLES.get(os.path.splitext(path)[1].lower(), by_content)
