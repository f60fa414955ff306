"""What setup.cfg cannot say: the compiled kernels are built with the package (inferir/kernels/aot/build.py)."""

import sys
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent


class BuildWithKernels(build_py):
    """Puts the libraries into the wheel; of an editable install, beside the sources."""

    def run(self) -> None:
        super().run()
        sys.path.insert(0, str(ROOT))
        from inferir.kernels.aot.build import build_if_possible

        reason = build_if_possible((ROOT if self.editable_mode else Path(self.build_lib)) / "inferir/kernels/aot/lib")
        if reason:
            self.warn(f"compiled kernels are left out, Numba is used instead: {reason}")


setup(cmdclass={"build_py": BuildWithKernels})
