"""The page of figures, of which reports write parts: each between marks that say who made it."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

__all__ = ["PAGE", "PICTURES", "between", "write"]

_ROOT = Path(__file__).resolve().parents[2]
PAGE, PICTURES = _ROOT / "docs" / "performance.md", _ROOT / "docs" / "pictures"


def between(text: str, name: str, made: str, report: str) -> str:
    """`text` with what stands between the marks of that name replaced. Raises SystemExit where there are none."""
    start, end = f"<!-- {name}: made by python -m {report} -->", f"<!-- /{name} -->"
    before, found, rest = text.partition(start)
    _, closed, after = rest.partition(end)
    if not (found and closed):
        raise SystemExit(f"{PAGE.name} has no part between {start} and {end}")
    return f"{before}{start}\n\n{made}\n\n{end}{after}"


def write(parts: Mapping[str, str], pictures: Iterable[Path], report: str) -> None:
    """Put the parts of `report` into the page, and say what was written."""
    text = PAGE.read_text(encoding="utf-8")
    for name, made in parts.items():
        text = between(text, name, made, report)
    PAGE.write_text(text, encoding="utf-8")
    for path in (*pictures, PAGE):
        sys.stdout.write(f"{path.relative_to(_ROOT)}\n")
