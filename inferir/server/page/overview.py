"""`/`: models, versions, how fast they answer, and a form for each to try a prediction."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from inferir.formats.spec import ColumnSpec
from inferir.server.models.registry import ModelVersion
from inferir.server.page.html import Html, element, join, page, table
from inferir.server.page.live import quantile
from inferir.server.parts import Parts

__all__ = ["models_fragment", "overview_page"]

#: Columns beyond which a form is a text with JSON.
_MOST_FIELDS = 64

#: Categories beyond which a field is a text with suggestions.
_MOST_OPTIONS = 200

_QUANTILES = (0.5, 0.95, 0.99)


def overview_page(models: Html | None) -> str:
    """The page; None in place of models where they are for those with a key."""
    content = (
        element("p", "Models are shown to those with an API key that may read.", class_="note")
        if models is None
        else models
    )
    key = element(
        "form",
        element("label", "API key ", element("input", name="key", type="password", autocomplete="off")),
        element("button", "Use"),
        id="key",
        hidden=models is not None,
    )
    plots = element(
        "section",
        element("h2", "Now"),
        element("div", id="plots", class_="plots"),
        element("p", id="now", class_="note", role="status"),
        id="live",
        hidden=True,
    )
    without = element("noscript", element("p", "Plots and forms need JavaScript.", class_="note"))
    return page(
        "Inferir",
        element("h1", "Models"),
        without,
        key,
        plots,
        element("div", content, id="models"),
        scripts=("uplot.js", "page.js"),
        styles=("uplot.css", "page.css"),
    )


def models_fragment(parts: Parts, numbers: Mapping[str, Any]) -> Html:
    """A table of all versions, then a section for each."""
    counted = {(each["name"], each["version"]): each for each in numbers["models"]}
    versions = list(parts.registry)
    failed = [
        element("p", f"{failure.source}: {failure.code}: {failure.message}", class_="failed")
        for failure in parts.registry.failures.values()
    ]
    if not versions:
        return join(element("p", "No model is loaded.", class_="note"), *failed)
    rows = [_row(version, parts, counted, numbers["bounds_s"]) for version in versions]
    head = ["Model", "Version", "Task", "Type", "Columns", "Rows answered", "p50", "p95", "p99"]
    return join(
        element("div", table(head, rows), class_="wide"),
        *failed,
        *[_section(version) for version in versions],
    )


def _row(
    version: ModelVersion, parts: Parts, counted: Mapping[tuple[str, str], Any], bounds: Sequence[float]
) -> list[Any]:
    found = counted[version.name, version.version]
    times = [quantile(share, bounds, found["buckets"]) for share in _QUANTILES]
    default = " (default)" if parts.registry.is_default(version) else ""
    return [
        element("a", version.name, href=f"#{version.reference}"),
        f"{version.version}{default}",
        version.model.task,
        version.info["type"],
        len(version.model.columns),
        f"{found['rows']:.0f}",
        *["-" if time is None else f"{time * 1e3:.3g} ms" for time in times],
    ]


def _section(version: ModelVersion) -> Html:
    model = version.model
    columns = model.columns
    example = [None if column.categories is None else next(iter(column.categories), None) for column in columns]
    body = json.dumps({"model_id": version.reference, "features": example})
    return element(
        "section",
        element("h2", version.reference),
        element(
            "details",
            element("summary", f"{len(columns)} columns"),
            element("div", table(["Column", "Kind", "Categories"], [_column(c) for c in columns]), class_="wide"),
        ),
        _form(version, columns),
        element("details", element("summary", "With curl"), element("pre", f"curl -d '{body}' /predict")),
        id=version.reference,
    )


def _column(column: ColumnSpec) -> list[Any]:
    return [column.name, column.kind, ", ".join(column.categories or ())]


def _form(version: ModelVersion, columns: Sequence[ColumnSpec]) -> Html:
    if len(columns) <= _MOST_FIELDS:
        fields = [_field(position, column) for position, column in enumerate(columns)]
    else:
        example = json.dumps([None] * len(columns))
        fields = [element("label", "Features, as JSON ", element("textarea", example, name="features", rows=6))]
    return element(
        "form",
        element("div", *fields, class_="fields"),
        element("button", "Predict"),
        element("output", aria_live="polite"),
        class_="try",
        data_model=version.reference,
        data_probabilities="probabilities" in version.model.faces,
    )


def _field(position: int, column: ColumnSpec) -> Html:
    """A field without a value stands for a missing one."""
    about = {"data_column": position, "name": column.name}
    if column.categories is None:
        field = element("input", type="number", step="any", placeholder="missing", data_kind="number", **about)
    elif len(column.categories) <= _MOST_OPTIONS:
        options = [element("option", "missing", value="", data_missing=True)]
        options += [element("option", category) for category in column.categories]
        field = element("select", *options, data_kind="text", **about)
    else:
        field = element("input", type="text", placeholder="missing", data_kind="text", **about)
    return element("label", element("span", column.name), field)
