"""The scenarios: `python -m benchmarks.serving [--seconds 10] [--only NAME ...] [--record [FILE]]`.

    closed          one core, 16 connections, as fast as answers come; rivals take turns with us (README.md)
    open            5,000 requests a second, evenly spaced, over 64 connections
    batch           batches of 32, 200 a second
    kernel          what part of the CPU time of a binary batch of 1,000 rows is the kernel's
    swap            2,000 requests a second while a model of 50 MB is replaced every 3 s, and without
    overload        1,000 connections that never wait
    shed            ten times the requests a second that a slow model can answer
    telemetry       what metrics, JSON logs of changes and Server-Timing cost
    stages          the same, and the looks at the clock that are for the stages alone
    logged          telemetry with a line of the log for every request

The environment comes first. Timings on a machine that others use are too high, never too low; `nice -n -15` before the
command, as root, takes most of that away.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.serving import servers
from benchmarks.serving.load import Result, closed_loop, open_loop, post
from benchmarks.serving.record import RECORD, environment, put
from benchmarks.serving.servers import features
from inferir.formats import apr
from inferir.server.slices import ask_for_short_slices
from tests.server.serving import linear_spec

PORT = 9321
_ROUNDS = 3
_SWAPPED, _SWAP_EVERY_S = 4, 3.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--only", nargs="*", choices=SCENARIOS, default=list(SCENARIOS))
    parser.add_argument("--record", nargs="?", const=RECORD, type=Path, help="keep the figures for report.py, or there")
    arguments = parser.parse_args()
    where = environment()
    print(json.dumps(where))  # noqa: T201 - a script
    with tempfile.TemporaryDirectory() as folder:
        theirs, ours = servers.train(Path(folder))
        for name in arguments.only:
            found = SCENARIOS[name](ours, theirs, arguments.seconds)
            print(name, json.dumps(found), flush=True)  # noqa: T201
            if arguments.record:
                put(arguments.record, name, found, where | {"seconds": arguments.seconds})


def run(coroutine: Any) -> Any:
    """On uvloop, so that the client needs less of its core than the server of its own. Where a thread of the server has
    the client's core, as the one that loads a model may, what the client sends late would count as answered late: so it
    asks for short slices, too."""
    import uvloop

    os.sched_setaffinity(0, set(range(1, os.cpu_count() or 2)) or {0})
    ask_for_short_slices()
    try:
        return uvloop.run(coroutine)
    finally:
        os.sched_setaffinity(0, range(os.cpu_count() or 1))


def single(server: str = "inferir") -> bytes:
    path, row = servers.body(server)
    return post(path, json.dumps(row).encode())


def closed(ours: Path, theirs: Path, seconds: float) -> Any:
    """Turns of a few seconds each, ours and theirs; the best turn of each."""
    best: dict[str, dict[str, Any]] = {}
    rivals = [name for name in servers.RIVALS if servers.installed(name)]
    for _ in range(_ROUNDS):
        for name in ("inferir", *rivals):
            opened = servers.ours(ours, PORT) if name == "inferir" else servers.rival(name, theirs, PORT)
            with opened as server:
                run(closed_loop(PORT, single(name), connections=16, seconds=1.0))
                before_s = server.cpu_s()
                result = run(closed_loop(PORT, single(name), connections=16, seconds=seconds / _ROUNDS))
                plain = result.plain()
                if used_s := server.cpu_s() - before_s:  # nothing: its workers are not of its session
                    plain["cpu_us_per_request"] = round(used_s / len(result.seconds) * 1e6, 1)
            plain["version"] = servers.version(name)
            if name not in best or plain["requests_per_s"] > best[name]["requests_per_s"]:
                best[name] = plain
    return best


def fixed_rate(ours: Path, theirs: Path, seconds: float) -> Any:
    with servers.ours(ours, PORT):
        run(open_loop(PORT, single(), rate=5000, connections=64, seconds=1.0))
        return run(open_loop(PORT, single(), rate=5000, connections=64, seconds=seconds)).plain()


def batch(ours: Path, theirs: Path, seconds: float) -> Any:
    body = {"instances": [{"features": row} for row in features(32)]}
    request = post("/predict/batch", json.dumps(body).encode())
    with servers.ours(ours, PORT):
        run(open_loop(PORT, request, rate=200, connections=16, seconds=1.0))
        return run(open_loop(PORT, request, rate=200, connections=16, seconds=seconds)).plain()


def kernel(ours: Path, theirs: Path, seconds: float) -> Any:
    """Against the CPU time of the process: `kernel_part`, what the kernels took as the server measured it, which counts
    also what other processes took meanwhile; `least_part`, what they take when nothing else is in the cache.
    """
    import numpy as np

    rows = np.array(features(1000), dtype=np.float32)
    inputs = [{"name": "input", "shape": list(rows.shape), "datatype": "FP32"}]
    inputs[0]["parameters"] = {"binary_data_size": rows.nbytes}
    head = json.dumps({"inputs": inputs, "parameters": {"binary_data_output": True}}).encode()
    request = post(
        "/v2/models/model/infer",
        head + rows.tobytes(),
        "application/octet-stream",
        f"Inference-Header-Content-Length: {len(head)}\r\n",
    )
    with servers.ours(ours, PORT) as server:
        run(closed_loop(PORT, request, connections=4, seconds=1.0))
        before_s, kernel_before_s = server.cpu_s(), servers.metric(PORT, "inferir_kernel_seconds_total")
        result = run(closed_loop(PORT, request, connections=4, seconds=seconds))
        used_s = server.cpu_s() - before_s
        kernel_s = servers.metric(PORT, "inferir_kernel_seconds_total") - kernel_before_s
        cost = servers.get(PORT, "/models")["models"][0]["kernel_seconds"]
    least_s = (cost["per_call"] + 1000 * cost["per_row"]) * len(result.seconds)
    return {**result.plain(), "kernel_part": round(kernel_s / used_s, 3), "least_part": round(least_s / used_s, 3)}


def swap(ours: Path, theirs: Path, seconds: float) -> Any:
    """Every three seconds. A version is answered by its own intercept: an answer that no live version gives is seen."""
    folder = ours.parent / "swap"
    folder.mkdir()
    model, spare = folder / "m.apr", ours.parent / "spare.apr"
    request = post("/predict", b'{"features": [0, 0]}')
    files = [ours.parent / f"version{number}.apr" for number in range(_SWAPPED)]
    for number, file in enumerate(files):  # written before: neither the disk nor the client's core is measured
        file.write_bytes(apr.to_bytes(linear_spec(version=str(number), intercept=number, pad_bytes=50_000_000)))

    def write(number: int) -> None:
        spare.hardlink_to(files[number % _SWAPPED])
        spare.replace(model)

    async def replace() -> None:
        for number in range(1, max(1, round(seconds / _SWAP_EVERY_S)) + 1):
            await asyncio.to_thread(write, number)  # up to 20 ms, in which the client would send nothing
            await asyncio.sleep(_SWAP_EVERY_S)

    async def both() -> Any:
        load = open_loop(PORT, request, rate=2000, connections=32, seconds=seconds, keep=10**7)
        result, _ = await asyncio.gather(load, replace())
        return result

    write(0)
    with servers.ours(folder, PORT, "--watch-s", "0.1", core=None):
        quiet = run(open_loop(PORT, request, rate=2000, connections=32, seconds=seconds))
        swapped = run(both())
        live = servers.ask(PORT, "/predict", {"features": [0, 0]})
    answers = [json.loads(sample) for sample in swapped.samples]
    wrong = sum(answer["prediction"] != float(answer["model_version"]) for answer in answers)
    return {
        "without": quiet.plain(),
        "with": swapped.plain(),
        "versions_seen": len({answer["model_version"] for answer in answers}),
        "wrong": wrong,
        "last": live,
    }


def overload(ours: Path, theirs: Path, seconds: float) -> Any:
    """A model that is answered on the spot: reading and writing is what limits, nothing is refused, all take turns."""
    with servers.ours(ours, PORT) as server:
        before = server.memory_bytes()
        found = _overloaded(server, lambda _: closed_loop(PORT, single(), connections=1000, seconds=seconds))
        return {**found, "memory_growth_bytes": server.memory_bytes() - before}


def shed(ours: Path, theirs: Path, seconds: float) -> Any:
    """A model that takes milliseconds: what cannot be done in time is refused."""
    path, row = servers.body("inferir")
    request = post(path, json.dumps(row).encode(), headers=f"X-Request-Timeout-Ms: {_PATIENCE_S * 1e3:.0f}\r\n")

    def load(capacity_per_s: float) -> Any:
        return open_loop(PORT, request, rate=10 * capacity_per_s, connections=1000, seconds=seconds)

    with servers.ours(servers.neighbors(ours.parent), PORT) as server:
        return _overloaded(server, load)


def telemetry(ours: Path, theirs: Path, seconds: float) -> Any:
    """CPU time of a request with metrics, JSON logs of changes and Server-Timing, and without, in turns."""
    return _switched("told", ours, seconds)


def stages(ours: Path, theirs: Path, seconds: float) -> Any:
    """The same, where the handler without telemetry does not look at the clock for the stages either."""
    return _switched("all", ours, seconds)


def logged(ours: Path, theirs: Path, seconds: float) -> Any:
    """As `telemetry`, with a line for every request."""
    return _switched("told", ours, seconds, "--log-requests")


_FEWEST_PAIRS = 10


def _switched(what: str, ours: Path, seconds: float, *options: str) -> Any:
    """`part` is the median of pairs of turns, `error` its standard error."""
    path = ours.parent / "pairs.json"
    options = "--log-format", "json", *options
    command = [sys.executable, "-m", "benchmarks.serving.switching", what, str(path), str(PORT), str(ours), *options]
    path.unlink(missing_ok=True)
    with servers.started("inferir", command, PORT, core=0):
        result = run(closed_loop(PORT, single(), connections=16, seconds=seconds)).plain()
    if result["other_statuses"] or result["lost"]:
        raise RuntimeError(f"expected an answer to every request, got {result}")
    pairs = json.loads(path.read_text())
    if len(pairs) < _FEWEST_PAIRS:
        raise RuntimeError(f"expected {_FEWEST_PAIRS} pairs of turns and more, got {len(pairs)}: give more --seconds")
    on_us, off_us = (statistics.median(side) for side in zip(*pairs, strict=True))
    parts = [on / off - 1 for on, off in pairs]
    low, part, high = statistics.quantiles(parts, n=4)
    error = 1.25 * (high - low) / 1.35 / math.sqrt(len(parts))  # of a median, where the middle is normal
    return {
        "on_us": round(on_us, 2),
        "off_us": round(off_us, 2),
        "part": round(part, 4),
        "error": round(error, 4),
        "pairs": len(pairs),
    }


#: An answer counts where it comes so soon after it was due.
_PATIENCE_S = 1.0


class _Turn:
    """What came of a load. `good` are answers in time, `server_part` and `client_part` what each took of its core: the
    client must not be what limits.
    """

    def __init__(self, server: servers.Server, load: Any) -> None:
        began_s, server_s, client_s = time.monotonic(), server.cpu_s(), time.process_time()
        self.result: Result = run(load)
        wall_s, self.cpu_s = time.monotonic() - began_s, server.cpu_s() - server_s
        self.server_part, self.client_part = self.cpu_s / wall_s, (time.process_time() - client_s) / wall_s
        self.good = sum(seconds < _PATIENCE_S for seconds in self.result.seconds)
        self.good_per_s = self.good / self.result.wall_s


def _overloaded(server: servers.Server, load: Callable[[float], Any]) -> dict[str, Any]:
    """Goodput under `load`, which is made for a capacity: that with 16 connections that never wait, in the middle of
    three turns. What it is compared with is that in the middle of six, three of them after it: a machine that others
    use is another one half a minute later. `part_per_cpu_s` compares answers in a second of the server's CPU time.
    """
    run(closed_loop(PORT, single(), connections=16, seconds=1.0))

    def three() -> list[_Turn]:
        return [_Turn(server, closed_loop(PORT, single(), connections=16, seconds=2.0)) for _ in range(3)]

    usual = three()
    crowd = _Turn(server, load(statistics.median(turn.good_per_s for turn in usual)))
    usual += three()
    capacity_per_s = statistics.median(turn.good_per_s for turn in usual)
    return {
        "capacity_per_s": round(capacity_per_s),
        "goodput_per_s": round(crowd.good_per_s),
        "part": round(crowd.good_per_s / capacity_per_s, 3),
        "part_per_cpu_s": round(
            crowd.good / crowd.cpu_s / (sum(turn.good for turn in usual) / sum(turn.cpu_s for turn in usual)), 3
        ),
        "server_cpu": round(crowd.server_part, 2),
        "client_cpu": round(crowd.client_part, 2),
        **crowd.result.plain(),
    }


SCENARIOS: dict[str, Callable[[Path, Path, float], Any]] = {
    "closed": closed,
    "open": fixed_rate,
    "batch": batch,
    "kernel": kernel,
    "swap": swap,
    "overload": overload,
    "shed": shed,
    "telemetry": telemetry,
    "stages": stages,
    "logged": logged,
}

if __name__ == "__main__":
    main()
