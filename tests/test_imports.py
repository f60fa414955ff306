"""What an import costs: nothing is loaded before it is used."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.patience import PATIENCE_S

_HEAVY = ("numpy", "numba", "nanoarrow", "pyarrow", "pandas", "click", "rich", "sklearn", "xgboost", "cryptography")


def _imported(statement: str) -> set[str]:
    """Which of the heavy packages are there after a statement, in a new process."""
    code = f"{statement}\nimport json, sys\nprint(json.dumps(sorted(set({_HEAVY!r}) & set(sys.modules))))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=PATIENCE_S, check=True)
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize(
    ("statement", "loads"),
    [
        ("import inferir", set()),
        ("import inferir.errors", set()),
        ("import inferir.formats.apr", set()),
        ("from inferir.formats.apr.inspect import describe", set()),
        ("import inferir.kernels; inferir.kernels.available()", set()),
        ("import inferir.cli", {"click"}),
        ("from inferir import load", {"numpy"}),
        ("import inferir; inferir.convert", {"numpy"}),
    ],
)
def test_an_import_loads_no_more_than_it_needs(statement: str, loads: set[str]) -> None:
    assert _imported(statement) == loads


def test_importing_the_package_is_quick() -> None:
    """Time of the processor, in the best of a few processes: what else the machine does is not counted."""
    code = "import time; began = time.process_time(); import inferir; print(time.process_time() - began)"
    command = [sys.executable, "-c", code]
    done = [
        subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=True).stdout for _ in range(5)
    ]
    assert min(map(float, done)) < 0.05
