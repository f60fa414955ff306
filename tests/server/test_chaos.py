"""What may go wrong around a server, in small; benchmarks/serving/chaos.py does it for minutes."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import resource
import signal
import time
import weakref
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import aiohttp
import pytest

from inferir.errors import FileAccessError
from inferir.server.models import snapshots
from tests.patience import PATIENCE_S
from tests.server.serving import eventually, linear_model, process, read_raw, serving

ZERO = {"features": [0, 0]}


async def predict(client: aiohttp.ClientSession) -> float:
    async with client.post("/predict", json=ZERO) as response:
        assert response.status == 200
        answer: float = (await response.json())["prediction"]
        return answer


def test_no_room_for_a_copy(tmp_path: Path) -> None:
    """Files of this process may not grow beyond a limit: what is written of the copy until then is given back."""
    path = linear_model(tmp_path / "m.apr", intercept=1)
    large = linear_model(tmp_path / "large.apr", name="large", pad_bytes=2**20)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    async def main() -> None:
        async with serving(path) as (app, url), aiohttp.ClientSession(url) as client:
            descriptors = len(os.listdir("/proc/self/fd"))
            resource.setrlimit(resource.RLIMIT_FSIZE, (2**19, hard))
            try:
                for _ in range(3):
                    with pytest.raises(FileAccessError, match="expected room for a copy"):
                        await app.library.load(large)
            finally:
                resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
            assert await predict(client) == 1.0
            assert len(os.listdir("/proc/self/fd")) <= descriptors + 2  # both ends of a connection

    try:
        asyncio.run(main())
    finally:
        signal.signal(signal.SIGXFSZ, before)


def test_a_copy_does_not_change_with_its_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"a" * 10_000)
    copy = snapshots.take(str(path))
    path.write_bytes(b"")
    with open(copy.path, "rb") as file:
        assert file.read() == b"a" * 10_000
    with pytest.raises(OSError, match=r"not permitted|denied"):
        os.write(copy.fd, b"b")
    copy.close()


def test_folders_pipes_and_devices_are_no_models(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path in (tmp_path, pipe, Path("/dev/zero")):
        with pytest.raises(FileAccessError, match="expected a regular file"):
            snapshots.take(str(path))
    with pytest.raises(FileAccessError):
        snapshots.take("a\0b")


def test_idle_and_slow_connections_hold_up_nobody(tmp_path: Path) -> None:
    path = linear_model(tmp_path / "m.apr")

    async def main() -> None:
        async with serving(path, body_timeout_s=PATIENCE_S) as (_, url), aiohttp.ClientSession(url) as client:
            port = int(url.rpartition(":")[2])
            idle = [await asyncio.open_connection("127.0.0.1", port) for _ in range(300)]
            slow = [await asyncio.open_connection("127.0.0.1", port) for _ in range(20)]
            head, body = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 20\r\n\r\n", b'{"features": [0, 0]}'
            for byte in head + body[:-1]:  # a byte more of each, then an answer that waits for none of them
                for _, writer in slow:
                    writer.write(bytes([byte]))
                assert await predict(client) == 0.0
            for reader, writer in slow:
                writer.write(body[-1:])
                answer = await asyncio.wait_for(reader.readuntil(b"}"), PATIENCE_S)
                assert answer.startswith(b"HTTP/1.1 200 ")
            for _, writer in (*idle, *slow):
                writer.close()

    asyncio.run(main())


def test_a_head_that_takes_too_long_ends_its_connection(tmp_path: Path) -> None:
    path = linear_model(tmp_path / "m.apr")

    async def main() -> None:
        async with serving(path, body_timeout_s=0.5) as (_, url):
            port = int(url.rpartition(":")[2])
            slow = [await asyncio.open_connection("127.0.0.1", port) for _ in range(20)]

            async def drip(writer: asyncio.StreamWriter) -> None:
                writer.write(b"POST /")
                while not writer.is_closing():
                    writer.write(b"x")
                    await asyncio.sleep(0.05)

            dripping = [asyncio.ensure_future(drip(writer)) for _, writer in slow]
            answered = 0
            for reader, _ in slow:
                with contextlib.suppress(ConnectionResetError):  # a byte was on its way
                    status, lines, body = read_raw(await asyncio.wait_for(reader.read(), PATIENCE_S))
                    assert (status, json.loads(body)["code"]) == (408, "BODY_TIMEOUT")
                    assert "Connection: close" in lines
                    answered += 1
            assert answered
            for each in dripping:
                each.cancel()
            for _, writer in slow:
                writer.close()

    asyncio.run(main())


def test_a_connection_that_says_nothing_is_closed(tmp_path: Path) -> None:
    path = linear_model(tmp_path / "m.apr")

    async def main() -> None:
        async with serving(path, keepalive_s=0.5) as (_, url):
            port = int(url.rpartition(":")[2])
            silent, writer = await asyncio.open_connection("127.0.0.1", port)
            answered, second = await asyncio.open_connection("127.0.0.1", port)
            second.write(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
            for reader in (silent, answered):
                await asyncio.wait_for(reader.read(), PATIENCE_S)  # to its end
            writer.close()
            second.close()

    asyncio.run(main())


def test_memory_is_flat(tmp_path: Path) -> None:
    """Requests of every kind, bad ones too, and swaps: what is held after a while is what was held before."""
    path = linear_model(tmp_path / "m.apr", pad_bytes=2**22)
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:  # where nothing else holds or frees memory
        grown_bytes = pool.submit(_grown_bytes, path).result(timeout=4 * PATIENCE_S)
    assert grown_bytes < 2**23  # a version of each swap would be 24 MiB


def _grown_bytes(path: Path) -> int:
    """What six rounds on a warm server leave behind, in this process."""

    def held_bytes() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    async def main() -> int:
        async with serving(path) as (app, url), aiohttp.ClientSession(url) as client:

            async def round_() -> None:
                for _ in range(100):
                    await predict(client)
                    async with client.post("/predict", data=b"[" * 10_000) as response:
                        assert response.status == 400
                    async with client.get("/nowhere") as response:
                        assert response.status == 404
                replaced = weakref.ref(app.registry.resolve(None).model)
                await app.library.load(path)
                await eventually(lambda: replaced() is None)  # it goes a moment later, off the loop

            for _ in range(3):
                await round_()
            before = held_bytes()
            for _ in range(6):
                await round_()
            return held_bytes() - before

    return asyncio.run(main())


def test_the_time_of_the_machine_says_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = linear_model(tmp_path / "m.apr")

    async def main() -> None:
        async with serving(path, timeout_s=3600.0) as (_, url), aiohttp.ClientSession(url) as client:
            real = time.time
            for jump_s in (-86_400.0, 86_400.0 * 365, 0.0):
                monkeypatch.setattr(time, "time", lambda jump_s=jump_s: real() + jump_s)
                headers = {"X-Request-Timeout-Ms": "3600000"}
                async with client.post("/predict", json=ZERO, headers=headers) as response:
                    assert response.status == 200
                    assert (await response.json())["latency_ms"] < 3_600_000

    asyncio.run(main())


def test_a_worker_that_hangs_is_replaced(tmp_path: Path) -> None:
    """Stopped by a signal it lives, and answers nobody: it is noticed by not saying so."""
    path = linear_model(tmp_path / "m.apr")
    with process(tmp_path / "log", path, "--workers", 2, "--backend", "reference") as served:
        before = served.workers()
        os.kill(before[0], signal.SIGSTOP)

        async def main() -> None:
            await eventually(lambda: len(set(served.workers()) - set(before)) == 1)
            connector = aiohttp.TCPConnector(force_close=True)
            async with aiohttp.ClientSession(served.url, connector=connector) as client:
                await eventually(lambda: "does not answer" in served.log.read_text())
                for _ in range(20):
                    assert await asyncio.wait_for(predict(client), PATIENCE_S) == 0.0

        asyncio.run(main())


def test_the_supervisor_dies(tmp_path: Path) -> None:
    """Workers end as if they were told to: nobody would replace or reload them."""
    path = linear_model(tmp_path / "m.apr")
    with process(tmp_path / "log", path, "--workers", 2, "--backend", "reference") as served:
        workers = served.workers()
        served.process.kill()
        served.process.wait()

        async def main() -> None:
            await eventually(lambda: not [pid for pid in workers if _runs(pid)])

        asyncio.run(main())


def _runs(pid: int) -> bool:
    try:
        return b") Z " not in Path(f"/proc/{pid}/stat").read_bytes()
    except FileNotFoundError:
        return False
