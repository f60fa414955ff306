"""Models to serve, and servers to serve them: in this process, or as `inferir serve` in one of its own."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import re
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from inferir.formats import apr
from inferir.formats.spec import ColumnSpec, ModelSpec, OperatorSpec, TensorSpec
from inferir.server.app import App
from inferir.server.request.auth import Keys
from inferir.server.settings import Settings
from inferir.server.starting import open_socket, tls_context
from tests.patience import PATIENCE_S


def linear_spec(*, name: str = "linear", version: str = "1", intercept: float = 0.0, pad_bytes: int = 8) -> ModelSpec:
    """A model that answers 2 a + b + intercept. `pad_bytes` of its tensors are used by nothing."""
    tensors = (
        _tensor("coef", np.array([[2.0, 1.0]])),
        _tensor("intercept", np.array([float(intercept)])),
        _tensor("pad", np.full(pad_bytes // 8, float(intercept))),
    )
    return ModelSpec(
        name=name,
        model_version=version,
        model_type=1,
        task="regression",
        columns=(ColumnSpec("a"), ColumnSpec("b")),
        operators=(OperatorSpec("linear", ("input",), "prediction", {}, {"coef": "coef", "intercept": "intercept"}),),
        tensors={tensor.name: tensor for tensor in tensors},
    )


def linear_model(path: Path, **spec: Any) -> str:
    """The file of a `linear_spec`."""
    apr.write(linear_spec(**spec), path)
    return str(path)


def _tensor(name: str, array: np.ndarray[Any, Any]) -> TensorSpec:
    return TensorSpec(name, "f64", array.shape, memoryview(array.tobytes()))


# -- in this process


@asynccontextmanager
async def serving(*models: str, keys: Keys | None = None, **settings: Any) -> AsyncIterator[tuple[App, str]]:
    """The server on this event loop, and its URL. What it is tested for needs no compiled kernels."""
    chosen = Settings(**{"port": 0, "models": models, "backend": "reference", **settings})
    app = App(chosen, keys or Keys({}))
    listener = open_socket(chosen)
    interval_s, threshold = sys.getswitchinterval(), gc.get_threshold()  # a server sets them for its process
    try:
        for model in models:
            await app.library.load(model)
        app.loaded = True
        await app.listen([listener], tls_context(chosen))
        scheme = "https" if chosen.tls_certificate else "http"
        yield app, f"{scheme}://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        await app.stop()
        listener.close()
        sys.setswitchinterval(interval_s)
        gc.set_threshold(*threshold)
        gc.unfreeze()


Connect = Callable[[], Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]


@asynccontextmanager
async def connecting(url: str, context: ssl.SSLContext | None = None) -> AsyncIterator[Connect]:
    """Opens connections to the server at `url`; they end with the block."""
    writers = []

    async def connect() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]), ssl=context)
        writers.append(writer)
        return reader, writer

    try:
        yield connect
    finally:
        for writer in writers:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()


# -- in a process of its own


@dataclass
class Process:
    """`inferir serve`, running."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def workers(self) -> list[int]:
        """Process ids of workers: children that multiprocessing spawned to run code."""
        found = []
        for children in Path(f"/proc/{self.process.pid}/task").glob("*/children"):
            for pid in map(int, _read(children).split()):
                if b"spawn_main" in _read(Path(f"/proc/{pid}/cmdline")):
                    found.append(pid)
        return found


def _read(path: Path) -> bytes:
    """A file of /proc; b"" where the process or thread ended while we looked."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return path.read_bytes()
    return b""


@contextmanager
def process(log: Path, *arguments: object, environ: dict[str, str] | None = None) -> Iterator[Process]:
    """`inferir serve ARGUMENTS --port 0`, once it says that it serves; it ends with the block."""
    command = [sys.executable, "-m", "inferir", "serve", *map(str, arguments), "--port", "0"]
    with open(log, "wb") as output:
        started = subprocess.Popen(command, stdout=output, stderr=output, env={**os.environ, **(environ or {})})
    try:
        yield Process(started, _port(started, log), log)
    finally:
        started.terminate()
        try:
            started.wait(PATIENCE_S)
        finally:
            started.kill()


def _port(started: subprocess.Popen[bytes], log: Path) -> int:
    end_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < end_s and started.poll() is None:
        found = re.search(r"serving on https?://\S+:(\d+)[\s\"]", log.read_text())
        if found:
            return int(found[1])
        time.sleep(0.05)
    raise AssertionError(f"the server did not start: {log.read_text()}")


async def eventually(condition: Any) -> None:
    """Wait for a condition, which may be a coroutine function."""
    end_s = time.monotonic() + PATIENCE_S
    while True:
        found = condition()
        if await found if asyncio.iscoroutine(found) else found:
            return
        assert time.monotonic() < end_s, f"not within {PATIENCE_S} s: {condition}"
        await asyncio.sleep(0.05)


async def read_answer(reader: asyncio.StreamReader) -> tuple[int, Sequence[str], bytes]:
    """The next answer of a connection that stays open; as `read_raw`."""
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE_S)
    length = int(re.findall(rb"Content-Length: (\d+)", head)[0])
    return read_raw(head + await asyncio.wait_for(reader.readexactly(length), PATIENCE_S))


def read_raw(answer: bytes) -> tuple[int, Sequence[str], bytes]:
    """Status, header lines and body of one answer."""
    head, _, body = answer.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    return int(lines[0].split()[1]), lines[1:], body
