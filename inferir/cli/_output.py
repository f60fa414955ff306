"""What commands print: text for people through rich, JSON for programs."""

from __future__ import annotations

import io
import json
import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:
    from inferir.agreement import Agreement

__all__ = ["agreement_text", "bytes_text", "facts", "is_wide", "number", "print_json", "seconds_text", "show", "table"]

#: More than these are as telling as any other number.
_MANY_ULP = 1_000_000

#: Where there is no terminal whose width could be asked: wide enough for a table, narrow enough for a mail.
_PLAIN_WIDTH = 110


def show(*items: Any) -> None:
    """Print texts and tables; with colours on a terminal, without the blanks that fill lines elsewhere."""
    if sys.stdout.isatty():
        Console(highlight=False).print(*items)
        return
    plain = Console(file=io.StringIO(), highlight=False, width=_PLAIN_WIDTH, color_system=None)
    with plain.capture() as captured:
        plain.print(*items)
    click.echo("\n".join(line.rstrip() for line in captured.get().splitlines()))


def is_wide() -> bool:
    """Whether what is printed has room for tables of many columns, as it has where it is no terminal."""
    return not sys.stdout.isatty() or Console().width >= _PLAIN_WIDTH


def print_json(value: Any) -> None:
    """One JSON value on standard output; what JSON has not becomes "NaN", "Infinity", "-Infinity"."""
    click.echo(json.dumps(_plain(value), indent=2, ensure_ascii=False, allow_nan=False))


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value


def facts(rows: Iterable[tuple[str, Any]]) -> Table:
    """Names and values; those without a value are left out."""
    grid = Table.grid(padding=(0, 3))
    for name, value in rows:
        if value not in (None, "", [], ()):
            grid.add_row(f"[bold]{escape(name)}[/bold]", escape(str(value)))
    return grid


def table(heads: Sequence[str], rows: Iterable[Sequence[Any]], *, right: Sequence[str] = (), title: str = "") -> Table:
    """A table; columns named in `right` are aligned there."""
    made = Table(box=None, title=title or None, title_justify="left", padding=(0, 2, 0, 0), header_style="bold")
    for head in heads:
        made.add_column(escape(head), justify="right" if head in right else "left", overflow="fold")
    for row in rows:
        made.add_row(*[escape("" if cell is None else str(cell)) for cell in row])
    return made


def bytes_text(n_bytes: int) -> str:
    """A size in the unit that gives it up to three digits before the point: 976 B, 34.5 kB."""
    if n_bytes < 1000:
        return f"{n_bytes} B"
    size, units = n_bytes / 1000, ["kB", "MB", "GB", "TB"]
    while size >= 1000 and len(units) > 1:
        size /= 1000
        units.pop(0)
    return f"{size:.1f} {units[0]}"


def seconds_text(seconds: float) -> str:
    """A time in the unit that gives it a digit or more before the point: 1.24 us, 3.5 ms."""
    for unit, in_seconds in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if seconds >= in_seconds:
            return f"{seconds / in_seconds:.3g} {unit}"
    return f"{seconds / 1e-9:.3g} ns"


def number(value: Any) -> str:
    """A value in a table: floats with six digits."""
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def agreement_text(agreements: Iterable[Agreement]) -> Table:
    """What was compared, what has to hold, and how far apart the answers are."""
    return table(
        ("compared", "values", "contract", "verdict", "unequal", "largest difference", "in ulp"),
        [
            (
                a.answer,
                f"{a.values:,}",
                a.contract,
                "holds" if a.within else f"broken in row {a.first_outside}",
                f"{a.unequal:,}",
                "" if a.largest_absolute is None else f"{a.largest_absolute:.3g}",
                "" if a.largest_ulp is None else f"{a.largest_ulp:,}" if a.largest_ulp < _MANY_ULP else "many",
            )
            for a in agreements
        ],
        right=("values", "unequal", "largest difference", "in ulp"),
    )
