"""`inferir inspect`: what is in an .apr file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from inferir.cli._options import EXISTING, as_json
from inferir.cli._output import bytes_text, facts, print_json, show, table
from inferir.formats.apr.inspect import describe

#: Rows of a table that are shown unless all are asked for.
_SHOWN = 12


@click.command
@click.argument("model", type=EXISTING)
@click.option("--all", "everything", is_flag=True, help="All columns, operators and tensors, however many.")
@as_json
def inspect(model: str, everything: bool, as_json: bool) -> None:
    """Show what is in an .apr file.

    The file is checked as when it is loaded, except for its signature: `inferir verify` checks that too.

    \b
    Examples:
      inferir inspect model.apr
      inferir inspect model.apr --json | jq .model.columns
    """
    found = describe(model)
    if as_json:
        print_json(found)
        return
    show(facts(_facts(found)))
    for title, heads, rows in _tables(found):
        if rows:
            shown = rows if everything else rows[:_SHOWN]
            more = f", the first {len(shown)}; --all shows all" if len(shown) < len(rows) else ""
            show()
            show(table(heads, shown, right=("bytes", "offset"), title=f"{title}: {len(rows)}{more}"))


def _facts(found: dict[str, Any]) -> list[tuple[str, Any]]:
    file, model, signature = found["file"], found["model"], found["signature"]
    return [
        ("model", f"{model['name']} {model['model_version']}".strip()),
        ("type", file["model_type"]["name"]),
        ("task", model["task"]),
        ("classes", _classes(model["classes"])),
        ("from", " ".join(str(v) for v in model["framework"].values())),
        ("written", f"{model['created']} by {model['producer']}".strip()),
        ("file", f"{bytes_text(file['bytes'])}, version {file['format_version']}, CRC-32 {file['crc32']}"),
        ("prepared", _prepared(file)),
        ("signature", f"by key {signature['key_id']}, not verified" if signature else "none"),
    ]


def _prepared(file: dict[str, Any]) -> str:
    """Tables that `convert` made."""
    nbytes = file["prepared_bytes"]
    return f"{bytes_text(nbytes)} of tables, {nbytes / file['bytes']:.0%} of the file" if nbytes else "no tables"


def _classes(classes: Sequence[Any]) -> str:
    shown = ", ".join(map(str, classes[:_SHOWN]))
    return f"{shown}, ... ({len(classes)})" if len(classes) > _SHOWN else shown


def _tables(found: dict[str, Any]) -> list[tuple[str, tuple[str, ...], list[tuple[Any, ...]]]]:
    return [
        (
            "columns",
            ("name", "kind", "categories"),
            [(c["name"], c["kind"], _classes(c.get("categories", ()))) for c in found["model"]["columns"]],
        ),
        (
            "operators",
            ("operator", "reads", "writes", "attributes"),
            [
                (
                    o["op"],
                    ", ".join(o["inputs"]),
                    o["output"],
                    ", ".join(f"{k}={v}" for k, v in o["attributes"].items()),
                )
                for o in found["operators"]
            ],
        ),
        (
            "tensors",
            ("name", "holds", "shape", "offset", "bytes"),
            [
                (t["name"], t["dtype"], " x ".join(map(str, t["shape"])) or "one number", t["offset"], t["bytes"])
                for t in found["tensors"]
            ],
        ),
    ]
