"""Our server, with its telemetry taken away and brought back again and again: `python -m benchmarks.serving.switching
told|all FILE PORT MODEL [OPTION ...]`, where an option is one of `inferir serve`.

Two processes of the same code differ by more than what is to be measured, and so does one from second to second on a
machine that others use. So it is one process, and turns of a fifth of a second: on off, off on, on off, ... What a turn
costs is the CPU time of the process, by the clock that the kernel keeps in nanoseconds, over the requests that were
answered in it; what gathered in it is read before it ends. FILE gets a pair of numbers for each pair of turns: CPU
us of a request with telemetry, and without.

    told   nobody is told of a request that has its answer, and no header line is made: what settings can turn off
    all    besides, `/predict` is answered by what its source makes without the times of stages; it looks at the clock
           for the deadline, for `latency_ms`, and when it is done
"""

from __future__ import annotations

import ast
import asyncio
import inspect
import json
import sys
import time
import types
from pathlib import Path
from typing import Any

from inferir.server.handlers import predict
from inferir.server.handlers.predict import PredictHandler
from inferir.server.inference import dataplane
from inferir.server.request.exchange import Exchange
from inferir.server.request.http_server import HttpServer
from inferir.server.telemetry import ServerTelemetry

_TURN_S = 0.2

#: A turn with fewer answers has not enough to go by: the load begins or ends, or the machine is elsewhere.
_FEWEST = 500


def _nothing(exchange: Exchange) -> bytes:
    return b""


#: What the handler looks at the clock for besides: the deadline, and `latency_ms`.
_NEEDED = {"encoded_s", "said_s", "exchange.ended_s"}


class _WithoutStages(ast.NodeTransformer):
    """A module that notes no stages, and has no look at the clock that is for them alone."""

    def visit_Assign(self, node: ast.Assign) -> ast.AST | None:
        target = node.targets[0]
        parts = target.elts if isinstance(target, ast.Tuple) else [target]
        if all(isinstance(part, ast.Subscript) and "stages" in ast.unparse(part.value) for part in parts):
            return None
        if ast.unparse(node.value) == "monotonic()" and ast.unparse(target) not in _NEEDED:
            node.value = ast.Constant(0.0)
        return node


def _unclocked(of: Any, module: types.ModuleType) -> Any:
    """The object, of the class that the module's source has without stages."""
    tree = ast.fix_missing_locations(_WithoutStages().visit(ast.parse(inspect.getsource(module))))
    changed = types.ModuleType(module.__name__)
    exec(compile(tree, f"{module.__name__} without stages", "exec"), vars(changed))  # noqa: S102 - our own source
    made = object.__new__(getattr(changed, type(of).__name__))
    vars(made).update(vars(of))
    return made


def _quiet(handler: PredictHandler) -> Any:
    """The handler, and the plane that it asks, without stages."""
    made = _unclocked(handler, predict)
    made._plane = _unclocked(made._plane, dataplane)
    return made


class _Switch:
    """Turns of one server."""

    def __init__(self, telemetry: ServerTelemetry, server: HttpServer, *, stages: bool) -> None:
        self._telemetry, self._server = telemetry, server
        self._told = telemetry.finished
        self._route, _ = server.gate._router.find("POST", "/predict")
        assert isinstance(self._route.handler, PredictHandler)
        quiet = _quiet(self._route.handler) if stages else self._route.handler
        self._handlers = {True: self._route.handler, False: quiet}
        self._order = [True, False]
        self._costs_us: dict[bool, float] = {}
        self.pairs: list[tuple[float, float]] = []
        self._begin()

    def _begin(self) -> None:
        on = self._order[len(self._costs_us)]
        # Where every request calls it, in the object: the server may have put it there.
        vars(self._telemetry)["finished"] = self._told if on else _nothing
        vars(self._route)["handler"] = self._handlers[on]
        self._answered, self._cpu_s = self._n_answered(), time.process_time()
        asyncio.get_running_loop().call_later(_TURN_S, self._end, on)

    def _end(self, on: bool) -> None:
        self._telemetry._records.flush()
        cpu_s, answered = time.process_time() - self._cpu_s, self._n_answered() - self._answered
        if answered < _FEWEST:
            self._costs_us.clear()
        else:
            self._costs_us[on] = cpu_s / answered * 1e6
            if len(self._costs_us) == len(self._order):
                self.pairs.append((self._costs_us[True], self._costs_us[False]))
                self._costs_us.clear()
                self._order.reverse()  # neither is always behind the other
        self._begin()

    def _n_answered(self) -> int:
        return sum(getattr(connection, "n_answered", 0) for connection in self._server.connections)


def main() -> None:
    from inferir.cli import main as inferir

    what, path, port, model, *options = sys.argv[1:]
    stages = {"told": False, "all": True}[what]
    telemetries: list[ServerTelemetry] = []
    switches: list[_Switch] = []
    begin_telemetry, begin_server = ServerTelemetry.__init__, HttpServer.__init__

    def keep_telemetry(telemetry: ServerTelemetry, *arguments: Any, **named: Any) -> None:
        begin_telemetry(telemetry, *arguments, **named)
        telemetries.append(telemetry)

    def keep_server(server: HttpServer, *arguments: Any, **named: Any) -> None:
        begin_server(server, *arguments, **named)
        switches.append(_Switch(telemetries[-1], server, stages=stages))

    ServerTelemetry.__init__ = keep_telemetry  # type: ignore[method-assign]
    HttpServer.__init__ = keep_server  # type: ignore[method-assign]
    sys.argv = ["inferir", "serve", model, "--port", port, *options]
    try:
        inferir()
    finally:
        Path(path).write_text(json.dumps([pair for switch in switches for pair in switch.pairs]))


if __name__ == "__main__":
    main()
