"""python -m benchmarks.rivals.environments: the virtual environments of peers that need other versions than ours.

Each is made with the Python this runs in, under build/rivals/environments, once; remove its folder to make it anew.
tl2cgen wants a C compiler besides (`gcc`).
"""

from __future__ import annotations

import subprocess
import sys
import venv
from collections.abc import Mapping
from pathlib import Path

from benchmarks.rivals.subject import FOLDER

__all__ = ["ENVIRONMENTS", "python_of"]

_LIBRARIES = ("scikit-learn==1.9.1", "lightgbm==4.7.0", "xgboost-cpu==3.2.0")

ENVIRONMENTS: Mapping[str, tuple[str, ...]] = {
    # lleaves calls what llvmlite 0.45 no longer has
    "lleaves": ("lleaves==1.3.0", "llvmlite<0.45", "scikit-learn==1.9.1", "lightgbm==4.7.0"),
    "treelite": ("treelite==4.8.1", "tl2cgen==1.0.0", *_LIBRARIES),
    # daal4py itself comes in scikit-learn-intelex since 2025
    "daal4py": ("scikit-learn-intelex==2026.2.0", "treelite==4.8.1", "catboost==1.2.10", *_LIBRARIES),
}


def python_of(environment: str) -> Path:
    """Its interpreter; ours for ""."""
    return FOLDER / "environments" / environment / "bin" / "python" if environment else Path(sys.executable)


def main() -> None:
    for name, packages in ENVIRONMENTS.items():
        python = python_of(name)
        if not python.is_file():
            venv.create(python.parents[1], with_pip=True)
            subprocess.run([python, "-m", "pip", "install", "--quiet", *packages], check=True)
        sys.stdout.write(f"{name}: {', '.join(packages)}\n")


if __name__ == "__main__":
    main()
