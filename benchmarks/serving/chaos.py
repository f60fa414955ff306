"""What may go wrong, for as long as you like: `python -m benchmarks.serving.chaos [--seconds 600]`.

Two workers answer 500 requests a second while, in turns and all the time: a worker is killed, the model is replaced by
another, by rubbish, by half of itself, clients send a byte a second, a thousand connections are idle, and more is asked
than can be answered. At the end: no wrong answer, no answer that never came but those a killed worker had in hand, and
no more memory than after the first minute.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import random
import signal
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.serving.load import closed_loop, open_loop, post
from tests.server.serving import Process, linear_model, process

RATE = 500


class Chaos:
    """A server, its model, and who makes trouble for both."""

    def __init__(self, served: Process, model: Path) -> None:
        self._served, self._model = served, model
        self._version = 0
        self.made: dict[str, int] = {}

    async def trouble(self, seconds: float) -> None:
        end_s = asyncio.get_running_loop().time() + seconds
        ways: list[Callable[[], Any]] = [self.kill, self.replace, self.rubbish, self.half, self.dawdle, self.idle]
        ways.append(self.overload)
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
        await asyncio.to_thread(linear_model, self._model, version=str(self._version), intercept=self._version)

    async def rubbish(self) -> None:
        self._model.write_bytes(os.urandom(5000))

    async def half(self) -> None:
        data = self._model.read_bytes()
        self._model.write_bytes(data[: len(data) // 2])

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

    async def overload(self) -> None:
        request = post("/predict", b'{"features": [0, 0]}')
        await closed_loop(self._served.port, request, connections=300, seconds=5.0)

    def memory_bytes(self) -> int:
        pages = [int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in self._served.workers()]
        return sum(pages) * os.sysconf("SC_PAGE_SIZE")


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
    before = chaos.memory_bytes()
    result, _ = await asyncio.gather(load, chaos.trouble(seconds))
    answers = [json.loads(sample) for sample in result.samples]
    return {
        "trouble": chaos.made,
        "wrong": sum(answer["prediction"] != float(answer["model_version"]) for answer in answers),
        "memory_before_bytes": before,
        "memory_after_bytes": chaos.memory_bytes(),
        **result.plain(),
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=600.0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "m.apr"
        linear_model(model, version="0")
        options = ("--workers", 2, "--watch-s", "0.2", "--backend", "reference")
        with process(Path(folder) / "log", model, *options) as served:
            print(json.dumps(asyncio.run(run(served, model, arguments.seconds))))  # noqa: T201 - a script


if __name__ == "__main__":
    main()
