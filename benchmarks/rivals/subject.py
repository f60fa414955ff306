"""What a peer's process is given of a case: a folder of files, which any library's process can read."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

__all__ = ["FOLDER", "Array", "Prepared", "Subject"]

Array: TypeAlias = npt.NDArray[Any]

#: Everything that is made here: ignored by git.
FOLDER = Path(__file__).resolve().parents[2] / "build" / "rivals"


def _same(value: Any) -> Any:
    return value


class Prepared(NamedTuple):
    """A peer that is ready. `call` is what is timed.

    rows    makes of NumPy rows what the library would rather have, before the clock starts.
    finish  makes of the answer what is compared, after it has stopped.
    """

    call: Callable[[Any], Any]
    rows: Callable[[Array], Any] = _same
    finish: Callable[[Any], Any] = _same


@dataclass(frozen=True)
class Subject:
    """A case in its folder; `threads` is how many a peer may use."""

    key: str
    threads: int

    @property
    def folder(self) -> Path:
        return FOLDER / "cases" / self.key

    @cached_property
    def facts(self) -> dict[str, Any]:
        """library, ask, dtype, columns and what else `prepare` wrote."""
        return json.loads((self.folder / "facts.json").read_text())  # type: ignore[no-any-return]

    @property
    def library(self) -> str:
        return str(self.facts["library"])

    @property
    def ask(self) -> str:
        return str(self.facts["ask"])

    @cached_property
    def rows(self) -> Array:
        """100,000 rows, none of which the model was trained on."""
        return np.load(self.folder / "rows.npy")  # type: ignore[no-any-return]

    @cached_property
    def training(self) -> tuple[Array, Array]:
        return np.load(self.folder / "training_rows.npy"), np.load(self.folder / "training_classes.npy")

    @cached_property
    def estimator(self) -> Any:
        with (self.folder / "estimator.pickle").open("rb") as file:
            return pickle.load(file)  # noqa: S301 - written by prepare.py, on this machine

    @property
    def native(self) -> Path:
        """The model in its library's own format."""
        return self.folder / {"xgboost": "model.json", "lightgbm": "model.txt", "catboost": "model.cbm"}[self.library]

    @property
    def apr(self) -> Path:
        return self.folder / "model.apr"

    @property
    def onnx(self) -> Path:
        """Missing where no converter knows the model."""
        return self.folder / "model.onnx"
