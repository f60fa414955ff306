"""A real server, in a process of its own, for clients that others wrote."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

import inferir
from inferir.demo import FOLDER
from tests.patience import PATIENCE_S


@dataclass(frozen=True)
class Served:
    """`address` is host:port; `grpc` the same for gRPC. `models` answer as the server should."""

    address: str
    grpc: str
    models: dict[str, inferir.Model]

    @property
    def url(self) -> str:
        return f"http://{self.address}"


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The two models of the demo."""
    paths = [FOLDER / f"{name}.apr" for name in ("penguins", "breast_cancer")]
    log = tmp_path_factory.mktemp("server") / "log"
    command = [sys.executable, "-m", "inferir", "serve", *map(str, paths), "--port", "0", "--grpc-port", "0"]
    with open(log, "wb") as output, subprocess.Popen(command, stdout=output, stderr=output) as process:
        try:
            address, grpc = _addresses(process, log)
            yield Served(address, grpc, {path.stem: inferir.load(path) for path in paths})
        finally:
            process.terminate()
            process.wait(PATIENCE_S)


def _addresses(process: subprocess.Popen[bytes], log: Path) -> tuple[str, str]:
    """Of HTTP and of gRPC, as the log has them; the line of HTTP comes when everything is loaded."""
    end_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < end_s and process.poll() is None:
        said = log.read_text()
        if found := re.search(r"serving on http://(\S+)\s", said):
            grpc = re.search(r"gRPC on (\S+)\s", said)
            assert grpc, said
            return found[1], grpc[1]
        time.sleep(0.05)
    raise AssertionError(f"the server did not start: {log.read_text()}")


@pytest.fixture
def cancer_rows() -> npt.NDArray[np.float32]:
    """Rows for breast_cancer."""
    return np.random.default_rng(0).uniform(0, 30, (5, 30)).astype(np.float32)
