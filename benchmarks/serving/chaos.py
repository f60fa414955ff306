"""What may go wrong, for as long as you like: `python -m benchmarks.serving.chaos [--seconds 600]`.

Two workers answer 500 requests a second while, in turns and all the time: a worker is killed, the model is replaced by
another, by rubbish, by half of itself, there is no room for its copy, clients send a byte a second, a thousand
connections are idle, bodies are too large, and more is asked than can be answered. The clock of the server jumps by up
to a year all the while.

At the end: no wrong answer, no answer that never came but those a killed worker had in hand, and no more memory in a
worker than after the first minute: `worker_mib` is that of the largest one, every half minute. The model has 4 MiB, so
that one which is not let go shows.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import random
import resource
import signal
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.serving.load import closed_loop, open_loop, post
from tests.server.serving import Process, linear_model, process

RATE = 500
MODEL_BYTES = 2**22
_LOOK_S = 30.0

#: Has a sitecustomize.py for the server's processes.
JUMPING = Path(__file__).parent / "jumping"


class Chaos:
    """A server, its model, and who makes trouble for both."""

    def __init__(self, served: Process, model: Path) -> None:
        self._served, self._model = served, model
        self._version = 0
        self.made: dict[str, int] = {}

    async def trouble(self, seconds: float) -> None:
        end_s = asyncio.get_running_loop().time() + seconds
        ways: list[Callable[[], Any]] = [self.kill, self.replace, self.rubbish, self.half, self.dawdle, self.idle]
        ways += [self.too_large, self.overload, self.full]
        while asyncio.get_running_loop().time() < end_s:
            way = random.choice(ways)
            self.made[way.__name__] = self.made.get(way.__name__, 0) + 1
            await way()
            await asyncio.sleep(random.uniform(0.5, 2.0))

    async def kill(self) -> None:
        workers = self._served.workers()
        if len(workers) > 1:
            os.kill(random.choice(workers), signal.SIGKILL)

    async def replace(self) -> None:
        self._version += 1
        await asyncio.to_thread(write_model, self._model, self._version)

    async def rubbish(self) -> None:
        self._model.write_bytes(os.urandom(5000))

    async def half(self) -> None:
        data = self._model.read_bytes()
        self._model.write_bytes(data[: len(data) // 2])

    async def full(self) -> None:
        """A disk without room: for the supervisor, who takes copies, no file may be as large as the model."""
        pid = self._served.process.pid
        before = resource.prlimit(pid, resource.RLIMIT_FSIZE)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (MODEL_BYTES // 2, before[1]))
        try:
            await self.replace()
            await asyncio.sleep(2.0)
        finally:
            resource.prlimit(pid, resource.RLIMIT_FSIZE, before)

    async def dawdle(self) -> None:
        async def drip() -> None:
            _, writer = await asyncio.open_connection("127.0.0.1", self._served.port)
            with contextlib.suppress(ConnectionError):
                for byte in post("/predict", b'{"features": [0, 0]}')[:10]:
                    writer.write(bytes([byte]))
                    await asyncio.sleep(1.0)
            writer.close()

        self._later = [asyncio.ensure_future(drip()) for _ in range(50)]

    async def idle(self) -> None:
        opened = [await asyncio.open_connection("127.0.0.1", self._served.port) for _ in range(1000)]
        await asyncio.sleep(2.0)
        for _, writer in opened:
            writer.close()

    async def too_large(self) -> None:
        for _ in range(50):
            reader, writer = await asyncio.open_connection("127.0.0.1", self._served.port)
            with contextlib.suppress(ConnectionError):
                writer.write(b"POST /predict HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
                for _ in range(5):
                    writer.write(b"80000\r\n" + bytes(0x80000) + b"\r\n")
                    await writer.drain()
                await reader.read(100)
            writer.close()

    async def overload(self) -> None:
        request = post("/predict", b'{"features": [0, 0]}')
        await closed_loop(self._served.port, request, connections=300, seconds=5.0)

    async def memory(self, seconds: float) -> list[float]:
        """MiB that the largest worker has, every half minute."""
        found = []
        for _ in range(max(1, int(seconds / _LOOK_S))):
            await asyncio.sleep(_LOOK_S)
            pages = []
            for pid in self._served.workers():
                with contextlib.suppress(OSError):  # it was killed
                    pages.append(int(Path(f"/proc/{pid}/statm").read_text().split()[1]))
            found.append(round(max(pages) * os.sysconf("SC_PAGE_SIZE") / 2**20, 1))
        return found


def write_model(path: Path, version: int) -> None:
    linear_model(path, version=str(version), intercept=version, pad_bytes=MODEL_BYTES)


async def run(served: Process, model: Path, seconds: float) -> dict[str, Any]:
    chaos = Chaos(served, model)
    load = open_loop(
        served.port,
        post("/predict", b'{"features": [0, 0]}'),
        rate=RATE,
        connections=64,
        seconds=seconds,
        keep=10**8,
        reconnect=True,
    )
    result, _, worker_mib = await asyncio.gather(load, chaos.trouble(seconds), chaos.memory(seconds))
    answers = [json.loads(sample) for sample in result.samples]
    return {
        "trouble": chaos.made,
        "wrong": sum(answer["prediction"] != float(answer["model_version"]) for answer in answers),
        "worker_mib": worker_mib,
        **result.plain(),
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=600.0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "m.apr"
        write_model(model, 0)
        options = ("--workers", 2, "--watch-s", "0.2", "--max-body-bytes", 2**20)
        environ = {"PYTHONPATH": os.pathsep.join([str(JUMPING), *filter(None, [os.environ.get("PYTHONPATH")])])}
        with process(Path(folder) / "log", model, *options, environ=environ) as served:
            found = asyncio.run(run(served, model, arguments.seconds))
            found["no_room"] = served.log.read_text().count("expected room for a copy")
            print(json.dumps(found))  # noqa: T201 - a script


if __name__ == "__main__":
    main()
