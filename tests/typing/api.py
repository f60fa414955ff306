"""The public API as a user types it: checked by mypy, never run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from typing_extensions import assert_type

import inferir
from inferir import InferirError, Model, convert, load
from inferir.errors import DimensionError, FormatError


def load_from_anywhere(path: Path, content: bytes) -> None:
    assert_type(load(path), Model)
    assert_type(load(str(path), backend="reference", threads=1), Model)
    assert_type(load(content, trusted_keys=[path, b"k" * 32, "base64"]), Model)
    load(3)  # type: ignore[arg-type]
    load(path, thread=1)  # type: ignore[call-arg]


def convert_and_save(estimator: object, path: Path) -> bytes:
    model = convert(estimator, name="m", version="1.2.0", backend="auto", threads=None)
    assert_type(model, Model)
    model.record_baseline([[1.0]])
    assert_type(convert(estimator, baseline=np.zeros((500, 1))), Model)
    model.save(path)
    return model.to_bytes()


def answers(model: Model, rows: npt.NDArray[np.float32]) -> None:
    assert_type(model.predict(rows), npt.NDArray[Any])
    assert_type(model.predict([[1.0, 2.0]]), npt.NDArray[Any])
    assert_type(model.predict([{"a": 1.0, "b": "x"}]), npt.NDArray[Any])
    assert_type(model.predict_proba(rows), npt.NDArray[Any] | list[npt.NDArray[Any]])
    assert_type(model.raw(rows), npt.NDArray[Any])
    assert_type(model.transform(rows), npt.NDArray[Any])


def facts(model: Model) -> None:
    assert_type(model.name, str)
    assert_type(model.version, str)
    assert_type(model.task, str)
    assert_type(model.backend, str)
    assert_type(model.faces, tuple[str, ...])
    assert_type(model.info(), dict[str, Any])
    assert_type([column.name for column in model.columns], list[str])
    model.name = "other"  # type: ignore[misc]


def errors(path: Path) -> str:
    try:
        load(path).predict([[1.0]])
    except FormatError as error:
        return error.code
    except DimensionError as error:
        return _as_value_error(error)
    except InferirError as error:
        return error.message
    return inferir.__version__


def _as_value_error(error: ValueError) -> str:
    return str(error)
