"""A real server, in a process of its own, for clients that others wrote."""

from __future__ import annotations

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
from tests.ports import free_port

START_S = 60


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
    grpc_port = free_port()
    command = [sys.executable, "-m", "inferir", "serve", *map(str, paths), "--port", "0", "--grpc-port", str(grpc_port)]
    with open(log, "wb") as output, subprocess.Popen(command, stdout=output, stderr=output) as process:
        try:
            address = _address(process, log)
            yield Served(address, f"127.0.0.1:{grpc_port}", {path.stem: inferir.load(path) for path in paths})
        finally:
            process.terminate()
            process.wait(START_S)


def _address(process: subprocess.Popen[bytes], log: Path) -> str:
    end = time.monotonic() + START_S
    while time.monotonic() < end and process.poll() is None:
        for line in log.read_text().splitlines():
            if "http://" in line:
                return line.partition("http://")[2].split()[0].rstrip("/.")
        time.sleep(0.05)
    raise AssertionError(f"the server did not start: {log.read_text()}")


@pytest.fixture
def cancer_rows() -> npt.NDArray[np.float32]:
    """Rows for breast_cancer."""
    return np.random.default_rng(0).uniform(0, 30, (5, 30)).astype(np.float32)
