"""Two models that come with Inferir, real rows for them, and what the libraries that trained them answered.

    penguins        344 penguins of the Palmer Archipelago: Gorman, Williams and Fraser 2014,
                    doi:10.1371/journal.pone.0090081, as in the Python package palmerpenguins 0.1.6; CC0
    breast_cancer   569 tumours: Wolberg, Street and Mangasarian 1995, doi:10.24432/C5DW2B, as in scikit-learn's
                    load_breast_cancer; CC BY 4.0

To the rows were added the columns `prediction`, `probability_...` and `raw`: the libraries' answers. They and the
models were made by `tools/make_demo.py` in the source tree.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from inferir.datafiles import open_rows
from inferir.formats.spec import ColumnSpec
from inferir.model import Model, load
from inferir.rows import Columns

__all__ = ["EXAMPLES", "FOLDER", "Example", "open_example"]

FOLDER = Path(__file__).parent

#: Name of the files -> what the model is about.
EXAMPLES = {
    "penguins": "The sex of a penguin from its species, island and measures: one-hot, imputer, scaler, logistic model",
    "breast_cancer": "Whether a tumour is malignant (0) or benign (1): 60 boosted trees",
}

_ENOUGH_ROWS = 10_000


@dataclass(frozen=True)
class Example:
    """`rows` are a dict of columns, as a data file gives them; `recorded` maps a face to the library's answer."""

    name: str
    about: str
    model: Model
    rows: dict[str, Any]
    recorded: dict[str, npt.NDArray[Any]]


def open_example(name: str, *, backend: str = "auto") -> Example:
    """One of EXAMPLES."""
    model = load(FOLDER / f"{name}.apr", backend=backend)
    path = FOLDER / f"{name}.csv"
    labels = tuple(str(label) for label in model.classes)
    answers = [
        ColumnSpec("prediction", "category", labels),
        *[ColumnSpec(f"probability_{label}") for label in labels],
        ColumnSpec("raw"),
    ]
    matrix = Columns(answers).encode(_all_rows(path, answers))
    recorded = {
        "prediction": np.array(model.classes)[matrix[:, 0].astype(np.int64)],
        "probabilities": matrix[:, 1:-1],
        "raw": matrix[:, -1],
    }
    return Example(name, EXAMPLES[name], model, _all_rows(path, model.columns), recorded)


def _all_rows(path: Path, columns: Any) -> dict[str, Any]:
    with open_rows(path, columns, _ENOUGH_ROWS) as reader:
        batch: dict[str, Any] = next(iter(reader))
    return batch
