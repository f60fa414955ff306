"""The process of our own runtime: `python -I -S start.py` in the zip, or `python -m inferir.lambda_entry`.

start   model open and warm, or init/error and exit code 1
then    one loop in this process, or one in each of N processes (Managed Instances)
ends    with code 0 on SIGTERM, 1 where the Runtime API is gone, 64 and 65 where a SnapStart hook fails
"""

from __future__ import annotations

import os
import sys

from inferir.lambda_entry import loop, protocol
from inferir.lambda_entry.client import Connection, ConnectionLostError
from inferir.lambda_entry.errors import stack_of, wire_type
from inferir.lambda_entry.start import make_function

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import NoReturn

    from inferir.lambda_entry.function import Function


__all__ = ["main"]


def main(environ: Mapping[str, str] = os.environ) -> NoReturn:
    """Raises SystemExit with the code of the process."""
    _end_on_sigterm()
    connection = Connection(environ["AWS_LAMBDA_RUNTIME_API"])
    try:
        function = _started(environ, connection)
        if function.settings.snap_start:
            from inferir.lambda_entry.snapstart import restore

            restore(connection)
        if function.settings.loops:
            from inferir.lambda_entry.instances import run

            run(function)
        loop.run(connection, function)
    except ConnectionLostError as error:
        sys.stderr.write(f"{error}\n")
        raise SystemExit(1) from None


def _started(environ: Mapping[str, str], connection: Connection) -> Function:
    try:
        return make_function(environ, sys.stderr)
    except Exception as error:
        kind = type(error).__name__
        sys.stderr.write(f"{kind}: {error}\n")
        document = protocol.error_document(str(error), kind, stack_of(error))
        connection.exchange(protocol.post_error(connection.host, "init/error", wire_type(error), document))
        raise SystemExit(1) from None


def _end_on_sigterm() -> None:
    """End at once and quietly: between events nothing is left to do, and what is answered late is answered never."""
    # The module under `signal`, without its enums.
    from _signal import SIGTERM, signal  # type: ignore[import-not-found]

    signal(SIGTERM, lambda number, frame: os._exit(0))


if __name__ == "__main__":
    main()
