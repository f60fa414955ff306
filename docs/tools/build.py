"""Write the pages and pictures that are made from the code: python docs/tools/build.py [--check]

With --check nothing is written; the exit code is 1 if a file is not what it would be, and its name is printed.
tests/test_docs.py asks the same.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import command_line_page
import kernels_page
import metrics_page
import operators_page
import pictures
import settings_page
import support_page

DOCS = Path(__file__).resolve().parent.parent

#: File under docs/ -> what makes its text.
MADE: dict[str, Callable[[], str]] = {
    "reference/command-line.md": command_line_page.page,
    "reference/kernels.md": kernels_page.page,
    "reference/metrics.md": metrics_page.page,
    "reference/operators.md": operators_page.page,
    "reference/settings.md": settings_page.page,
    "reference/support-matrix.md": support_page.page,
    **{f"pictures/{name}.svg": draw for name, draw in pictures.PICTURES.items()},
}


def stale() -> list[str]:
    """Files that are not what they would be."""
    return [name for name, make in MADE.items() if not _same(DOCS / name, make())]


def _same(path: Path, text: str) -> bool:
    return path.is_file() and path.read_text(encoding="utf-8") == text


def main(arguments: list[str]) -> int:
    names = stale()
    for name in names:
        if "--check" not in arguments:
            (DOCS / name).parent.mkdir(parents=True, exist_ok=True)
            (DOCS / name).write_text(MADE[name](), encoding="utf-8")
        sys.stdout.write(f"docs/{name}\n")
    return 1 if names and "--check" in arguments else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
