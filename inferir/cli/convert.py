"""`inferir convert`: a trained model -> an .apr file."""

from __future__ import annotations

import os
from typing import Any

import click

import inferir
from inferir.cli._options import EXISTING, pickles
from inferir.cli._output import bytes_text
from inferir.cli._sources import open_source
from inferir.datafiles import open_rows
from inferir.errors import InferirError
from inferir.formats import apr
from inferir.model import Model
from inferir.rows.baseline import Sample


@click.command
@click.argument("source", type=EXISTING)
@click.option(
    "-o", "--output", required=True, type=click.Path(path_type=str), metavar="FILE", help="Where to write it."
)
@click.option("--name", help="What the model is called.  [default: its class, or the name of its file]")
@click.option("--version", help='Version of the model, any text, as in "1.2.0".')
@click.option(
    "--baseline",
    type=EXISTING,
    metavar="DATA",
    help="Rows that the model was trained on: the shares of each column go into the file, and `serve` tells how far "
    "other rows are from them.",
)
@click.option(
    "--prepared/--no-prepared",
    default=True,
    show_default=True,
    help="Keep the tables that loading a forest makes: it is loaded sooner, and its file is larger, by half or more.",
)
@click.option("--sign", "private_key", metavar="KEY", help="Sign it with this private key (see `inferir keygen`).")
@pickles
def convert(
    source: str,
    output: str,
    name: str | None,
    version: str | None,
    baseline: str | None,
    prepared: bool,
    private_key: str | None,
    trust_pickle: bool,
) -> None:
    """Turn a trained model into an .apr file.

    SOURCE is a model saved by XGBoost (.json, .ubj), LightGBM (.txt) or CatBoost (.json), which need nothing else
    installed; or an ONNX model (.onnx), which needs `pip install inferir[import]`; or a pickle of a fitted estimator or
    booster, which needs the library that made it, and --trust-pickle.

    What cannot be converted exactly is refused, with what it was and where; there is no approximate conversion.

    \b
    Examples:
      inferir convert xgboost.json -o model.apr --name churn --version 3
      inferir convert pipeline.joblib --trust-pickle -o model.apr
      inferir convert lightgbm.txt --sign release.pem -o model.apr
      inferir convert model.json --baseline train.parquet -o model.apr
    """
    found = open_source(source, trust_pickle=trust_pickle)
    # Bound to the reference kernels, a model is known to work and little has to be compiled.
    model = inferir.convert(found, name=name, version=version, prepared=prepared, backend="reference")
    if baseline is not None:
        model.record_baseline(_sample(model, baseline), encoded=True)
    apr.write(model.spec, output, private_key=private_key)
    info = model.info()
    facts = [f"{info['type']}, {model.task}", f"{len(model.columns)} columns", bytes_text(os.path.getsize(output))]
    click.echo(f"{output}: {', '.join(facts)}{', signed' if private_key else ''}")


def _sample(model: Model, data: str) -> Any:
    """The rows of a file, or a fair sample of so many that they fit into memory."""
    sample = Sample()
    with open_rows(data, model.columns, named=model.named_columns) as reader:
        for batch in reader:
            try:
                sample.add(model.encode(batch))
            except InferirError as error:
                reader.check(batch)  # says so with the row's number in the file, if it is about a value
                raise type(error)(f"{data}: {error.message}") from error
    return sample.rows(len(model.columns))
