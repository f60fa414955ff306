"""A package of a real model for this machine, made once and unpacked as Lambda would unpack it."""

from __future__ import annotations

import platform
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier

import inferir
from inferir.kernels.aot import manifest
from inferir.lambda_entry.emulator import unpack
from inferir.lambda_entry.package import Options, build

#: Lambda's word for this machine.
ARCH = {"x86_64": "x86_64", "aarch64": "arm64"}.get(platform.machine(), "x86_64")


class Packaged(NamedTuple):
    """A forest, rows for it, its .apr file, a zip, and the folder that the zip was unpacked to."""

    forest: Any
    rows: Any
    contents: bytes
    zip: Path
    folder: Path


@pytest.fixture(scope="session")
def packaged(tmp_path_factory: pytest.TempPathFactory) -> Packaged:
    if manifest.problem() is not None:
        pytest.skip(f"no compiled kernels: {manifest.problem()}")
    rng = np.random.default_rng(0)
    rows = rng.random((300, 4))
    labels = np.array(["low", "high"])[(rows[:, 0] + rows[:, 1] > 1).astype(int)]
    forest = RandomForestClassifier(20, max_depth=4, random_state=0).fit(rows, labels)
    contents = inferir.convert(forest, name="forest", version="3", prepared=False).to_bytes()
    root = tmp_path_factory.mktemp("lambda")
    root.chmod(0o755)
    made = build(contents, Options(ARCH, "provided.al2023", interpreter=sys.executable))
    made.write_zip(root / "forest.zip")
    unpack(root / "forest.zip", root / "task")
    return Packaged(forest, rows, contents, root / "forest.zip", root / "task")
