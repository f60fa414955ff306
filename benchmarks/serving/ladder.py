"""What each layer costs: `python -m benchmarks.serving.ladder [--seconds 2] [--rounds 3] [--connections 16]`.

    protocol      an asyncio protocol on uvloop that answers constant bytes and reads nothing: sockets and the loop
    server        aiohttp's web.Server with a handler that answers a constant: HTTP
    application   aiohttp's web.Application with one route and one middleware: what most servers are written on
    long          ours, every request by aiohttp's two tasks
    ours          ours

All get the same POST with 28 features; the last two answer it with 100 trees, checks, metrics and Server-Timing. Each
runs on one core, in turns; what counts is the CPU time of a request, which says more than requests a second where
others use the machine.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from benchmarks.serving import servers
from benchmarks.serving.__main__ import run, single
from benchmarks.serving.load import closed_loop
from inferir.server.request.connection import Connection

PORT = 9341
_BODY = b'{"prediction":1,"latency_ms":0.185,"model_id":"model","model_version":"1","request_id":"8ff84da200000000"}'
_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(_BODY), _BODY)


class _Protocol(asyncio.Protocol):
    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._transport.write(_ANSWER)


async def _constant(request: web.BaseRequest) -> web.Response:
    await request.read()
    return web.Response(body=_BODY, content_type="application/json")


@web.middleware
async def _middleware(request: web.Request, handler: Any) -> web.StreamResponse:
    answer: web.StreamResponse = await handler(request)
    return answer


async def _forever(made: Any, port: int) -> None:
    server = await asyncio.get_running_loop().create_server(made, "127.0.0.1", port)
    await server.serve_forever()


def _protocol(port: int, model: str) -> None:
    import uvloop

    uvloop.run(_forever(_Protocol, port))


def _server(port: int, model: str) -> None:
    import uvloop

    async def main() -> None:
        await _forever(web.Server(_constant), port)

    uvloop.run(main())


def _application(port: int, model: str) -> None:
    import uvloop

    async def main() -> None:
        app = web.Application(middlewares=[_middleware])
        app.router.add_post("/predict", _constant)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        await asyncio.Event().wait()

    uvloop.run(main())


def _ours(port: int, model: str) -> None:
    from inferir.cli import main

    sys.argv = ["inferir", "serve", model, "--port", str(port)]
    main()


def _long(port: int, model: str) -> None:
    Connection.data_received = RequestHandler.data_received  # type: ignore[method-assign]
    _ours(port, model)


RUNGS: dict[str, Callable[[int, str], None]] = {
    "protocol": _protocol,
    "server": _server,
    "application": _application,
    "long": _long,
    "ours": _ours,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--serve", nargs=3, metavar=("RUNG", "PORT", "MODEL"), help="be one of the servers")
    arguments = parser.parse_args()
    if arguments.serve:
        rung, port, model = arguments.serve
        RUNGS[rung](int(port), model)
        return
    with tempfile.TemporaryDirectory() as folder:
        _, model = servers.train(Path(folder))
        found: dict[str, list[tuple[float, float]]] = {rung: [] for rung in RUNGS}
        for _ in range(arguments.rounds):
            for rung in RUNGS:
                found[rung].append(_measured(rung, model, arguments.seconds, arguments.connections))
    print("| rung | CPU us a request | requests/s |\n|---|---:|---:|")  # noqa: T201 - a script
    for rung, turns in found.items():
        print(f"| {rung} | {min(cpu for cpu, _ in turns):.0f} | {max(rate for _, rate in turns):.0f} |")  # noqa: T201


def _measured(rung: str, model: Path, seconds: float, connections: int) -> tuple[float, float]:
    """CPU time of a request in microseconds, and requests a second."""
    command = [sys.executable, "-m", "benchmarks.serving.ladder", "--serve", rung, str(PORT), str(model)]
    with servers.started(rung, command, PORT, core=0) as server:
        run(closed_loop(PORT, single(), connections=connections, seconds=0.5))
        before_s = server.cpu_s()
        result = run(closed_loop(PORT, single(), connections=connections, seconds=seconds))
        return (server.cpu_s() - before_s) / len(result.seconds) * 1e6, result.rate


if __name__ == "__main__":
    main()
