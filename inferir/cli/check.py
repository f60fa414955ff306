"""`inferir check`: our answers against those of the library that trained the model."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

import click
import numpy as np

import inferir
from inferir.agreement import Agreement, compare
from inferir.cli._errors import DIFFERS
from inferir.cli._options import EXISTING, as_json, backend, data_format, pickles, trusted_keys
from inferir.cli._output import agreement_text, print_json, show
from inferir.cli._source_library import source_answers
from inferir.cli._sources import open_source
from inferir.datafiles import format_of
from inferir.errors import BackendError, InvalidInputError, TaskError
from inferir.model import Model
from inferir.rows import Columns


@click.command
@click.argument("model", type=EXISTING)
@click.option(
    "--against", "source", required=True, type=EXISTING, metavar="SOURCE", help="The trained model that was converted."
)
@click.argument("data", type=EXISTING)
@data_format
@backend
@pickles
@trusted_keys
@as_json
@click.pass_context
def check(
    ctx: click.Context,
    model: str,
    source: str,
    data: str,
    data_format: str | None,
    backend: str,
    trust_pickle: bool,
    trusted_keys: tuple[str, ...],
    as_json: bool,
) -> None:
    """Compare a model's answers with those of the library it came from.

    Both answer the rows of DATA, read by pandas. Labels have to be equal, tree scores equal bit for bit, probabilities
    and sums within a few units of the last digits: the table says which holds for which answer, and the exit code is 1
    where one does not. The library that trained the model has to be installed, and pandas.

    SOURCE is what the model was converted from; of a CatBoost model the .cbm file, as CatBoost does not read its own
    JSON to the last digit.

    \b
    Examples:
      inferir check model.apr --against xgboost.json rows.csv
      inferir check model.apr --against pipeline.joblib --trust-pickle rows.parquet
    """
    loaded = inferir.load(model, backend=backend, trusted_keys=trusted_keys or None)
    frame = _frame(loaded, data, data_format)
    theirs = source_answers(open_source(source, trust_pickle=trust_pickle), loaded, frame)
    agreements = [_compared(loaded, face, frame, theirs[face]) for face in loaded.faces if face in theirs]
    if not agreements:
        raise TaskError(f"{source} and {model} have no answer in common; the model has {', '.join(loaded.faces)}")
    if as_json:
        print_json({"model": model, "source": source, "answers": [agreement.plain() for agreement in agreements]})
    else:
        show(agreement_text(agreements))
    if not all(agreement.within for agreement in agreements):
        ctx.exit(DIFFERS)


def _readers(pandas: Any) -> Mapping[str, Callable[[str], Any]]:
    version = tuple(int(part) for part in pandas.__version__.split(".")[:2])
    # Before 3.1 pandas has to be asked to read the very number that was written.
    exactly = {"float_precision": "round_trip"} if version < (3, 1) else {}
    return {
        "csv": lambda path: pandas.read_csv(path, sep="\t" if ".tsv" in path else ",", **exactly),
        "json": pandas.read_json,
        "jsonl": lambda path: pandas.read_json(path, lines=True),
        "parquet": pandas.read_parquet,
        "arrow": pandas.read_feather,
    }


def _frame(model: Model, data: str, data_format: str | None) -> Any:
    """The model's columns of the file, in its order, under its names if it has any."""
    try:
        import pandas
    except ModuleNotFoundError as error:
        raise BackendError("comparing with another library needs pandas, which is not installed") from error
    kind = format_of(data, data_format)
    os.stat(data)
    try:
        table = _readers(pandas)[kind](data)
    except (ValueError, OSError) as error:
        raise InvalidInputError(f"{data}: expected {kind} that pandas can read, got: {error}") from error
    positions = Columns(model.columns, model.named_columns).match([str(name) for name in table.columns])
    frame = table.iloc[:, positions]
    if model.named_columns:
        frame.columns = [column.name for column in model.columns]
    return frame


def _compared(model: Model, face: str, frame: Any, theirs: Any) -> Agreement:
    ask = {
        "prediction": model.predict,
        "probabilities": model.predict_proba,
        "raw": model.raw,
        "transformed": model.transform,
    }
    ours, theirs = _one_matrix(ask[face](frame)), _one_matrix(theirs)
    if ours.ndim == 1 and theirs.ndim == 2 and theirs.shape[1] == 1:
        theirs = theirs[:, 0]  # how some libraries give a single answer
    return compare(model.spec, face, ours, theirs)


def _one_matrix(answer: Any) -> np.ndarray[Any, Any]:
    """Probabilities of several outputs side by side; a sparse matrix as a plain one."""
    if isinstance(answer, list):
        return np.concatenate(answer, axis=1)
    return np.asarray(answer.toarray() if hasattr(answer, "toarray") else answer)
