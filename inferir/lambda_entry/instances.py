"""Managed Instances: Lambda asks a process for several answers at once, and N loops ask for events side by side.

Each loop is a process, forked when the model is open and warm: model and code are in memory once, and nothing that
changes is shared. A loop that dies is replaced; where loops die as soon as they start, all of them end, and Lambda
makes a new environment.
"""

from __future__ import annotations

import os
import sys
from time import monotonic, sleep

from inferir.lambda_entry import loop
from inferir.lambda_entry.client import Connection, ConnectionLostError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from inferir.lambda_entry.function import Function

__all__ = ["run"]

#: A loop that ends sooner did not get to work. So many in a row, and there is no point in another.
_SHORT_S, _MOST_SHORT = 1.0, 5


def run(function: Function) -> NoReturn:
    """Run `function.settings.loops` loops until a signal, or until they cannot be kept up. Raises SystemExit."""
    from _signal import SIGTERM, signal  # type: ignore[import-not-found]

    children = {_fork(function): monotonic() for _ in range(function.settings.loops)}

    def end(number: int, frame: object) -> None:
        _kill(children)
        os._exit(0)

    signal(SIGTERM, end)
    short = 0
    while True:
        child, status = os.wait()
        lived_s = monotonic() - children.pop(child)
        sys.stderr.write(f"a loop ended with status {os.waitstatus_to_exitcode(status)} after {lived_s:.1f} s\n")
        short = short + 1 if lived_s < _SHORT_S else 0
        if short == _MOST_SHORT:
            _kill(children)
            raise SystemExit(1)
        sleep(0.1 * short)
        children[_fork(function)] = monotonic()


def _fork(function: Function) -> int:
    """The process of a new loop; does not return in it."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        from _signal import SIGTERM, signal

        signal(SIGTERM, lambda number, frame: os._exit(0))
        if function.settings.log_socket:
            _redirect_output(function.settings.log_socket)
        loop.run(Connection(function.settings.api), function)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except ConnectionLostError as error:
        sys.stderr.write(f"{error}\n")
    finally:
        os._exit(code)


def _redirect_output(path: str) -> None:
    """Lambda gives each loop a log of its own, through a Unix socket."""
    import _socket

    for descriptor in (1, 2):
        log = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM, 0)
        log.connect(path)
        os.dup2(log.fileno(), descriptor)
        log.close()


def _kill(children: dict[int, float]) -> None:
    from _signal import SIGTERM

    for child in list(children):
        try:
            os.kill(child, SIGTERM)
        except ProcessLookupError:  # it ended by itself
            continue
