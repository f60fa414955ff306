"""`inferir demo`: two models that come with Inferir answer real rows, beside what their libraries answered."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import Any

import click
import numpy as np

from inferir.agreement import Agreement, compare
from inferir.cli._errors import DIFFERS
from inferir.cli._options import as_json, backend
from inferir.cli._output import agreement_text, is_wide, number, print_json, seconds_text, show, table
from inferir.cli._timing import measure
from inferir.demo import EXAMPLES, FOLDER, Example, open_example
from inferir.model import Model

_SHOWN_ROWS = 6

#: Columns of the rows that are shown: in narrow terminals and in wide ones.
_SHOWN_COLUMNS = (2, 4)

_SECONDS = 0.2


@click.command
@click.option(
    "--serve/--no-serve", default=None, help="Serve the models at the end.  [default: if the output is a terminal]"
)
@click.option("--port", type=int, default=8080, show_default=True, help="Port to serve on; 0 takes a free one.")
@backend
@as_json
@click.pass_context
def demo(ctx: click.Context, serve: bool | None, port: int, backend: str, as_json: bool) -> None:
    """Run two models that come with Inferir, and compare with what their libraries answered.

    A scikit-learn pipeline with categories and missing values, and an XGBoost classifier. Neither library is needed:
    their answers were recorded when the models were made. The exit code is 1 if an answer differs by more than the
    contract allows. At the end both models are served, and the calls to try are shown.

    \b
    Examples:
      inferir demo
      inferir demo --json
    """
    results = []
    for name in EXAMPLES:
        example = open_example(name, backend=backend)
        agreements = _agreements(example)
        results.append(_result(example, agreements))
        if not as_json:
            _show(example, agreements, results[-1]["times"])
    if as_json:
        print_json({"models": results})
    if not all(agreement["within"] for result in results for agreement in result["agreements"]):
        ctx.exit(DIFFERS)
    if sys.stdout.isatty() and not as_json if serve is None else serve:
        _serve(port, backend)


def _serve(port: int, backend: str) -> None:
    """Until Ctrl-C."""
    from inferir.cli.serve import start  # the server is an extra
    from inferir.server.settings import Settings

    models = tuple(str(FOLDER / f"{name}.apr") for name in EXAMPLES)
    start(Settings(models=models, port=port, backend=backend), started=_calls_to_try)


def _calls_to_try(url: str) -> None:
    click.echo(f"Both models are served on {url} until Ctrl-C. Calls to try, or {url}/ in a browser:\n")
    for name in EXAMPLES:
        example = open_example(name, backend="reference")
        row = {column: values[0] for column, values in example.rows.items()}
        features = {column: value.item() if isinstance(value, np.generic) else value for column, value in row.items()}
        body = json.dumps({"model_id": example.model.name, "features": features, "options": {"top_k": 2}})
        click.echo(f"curl {url}/predict -d '{body}'\n")
    click.echo(f"curl {url}/models\ncurl {url}/metrics", nl=True)


def _answer(model: Model, face: str, rows: Any) -> Any:
    return {"prediction": model.predict, "probabilities": model.predict_proba, "raw": model.raw}[face](rows)


def _agreements(example: Example) -> list[Agreement]:
    return [
        compare(example.model.spec, face, _answer(example.model, face, example.rows), recorded)
        for face, recorded in example.recorded.items()
    ]


def _result(example: Example, agreements: list[Agreement]) -> dict[str, Any]:
    rows = _as_passed(example)
    return {
        "model": str(FOLDER / f"{example.name}.apr"),
        "framework": dict(example.model.spec.framework),
        "backend": example.model.backend,
        "agreements": [agreement.plain() for agreement in agreements],
        "times": [
            {"rows": size, **asdict(measure(example.model.predict, batch, _SECONDS))} for size, batch in rows.items()
        ],
    }


def _as_passed(example: Example) -> dict[int, Any]:
    """One row, and all rows: an array, or a dict of columns where some are text."""
    columns = example.rows
    n_rows = len(next(iter(columns.values())))
    if any(column.categories for column in example.model.columns):
        return {1: {name: values[:1] for name, values in columns.items()}, n_rows: columns}
    matrix = np.column_stack(list(columns.values()))
    return {1: matrix[:1], n_rows: matrix}


def _show(example: Example, agreements: list[Agreement], times: list[dict[str, Any]]) -> None:
    model = example.model
    framework = " ".join(model.spec.framework.values())
    show(f"{model.name}, from {framework}\n{example.about}\n")
    step = max(1, agreements[0].rows // _SHOWN_ROWS)
    chosen = list(range(0, agreements[0].rows, step))[:_SHOWN_ROWS]
    columns = [column.name for column in model.columns][: _SHOWN_COLUMNS[is_wide()]]
    labels, probabilities = model.predict(example.rows), model.predict_proba(example.rows)
    last = model.classes[-1]
    show(
        table(
            (*columns, "...", "answer", "recorded", f"P({last})", "recorded"),
            [
                (
                    *[number(example.rows[name][row]) for name in columns],
                    "",
                    labels[row],
                    example.recorded["prediction"][row],
                    number(float(probabilities[row, -1])),  # type: ignore[call-overload]
                    number(float(example.recorded["probabilities"][row, -1])),
                )
                for row in chosen
            ],
        )
    )
    show()
    show(agreement_text(agreements))
    for timing in times:
        per_row = seconds_text(timing["median_s"] / timing["rows"])
        show(f"{per_row} per row, in calls of {timing['rows']}, {model.backend} kernels")
    show()
