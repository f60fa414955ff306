"""SnapStart: what is done before the snapshot of a process is taken, and after it was restored, maybe many times.

    register_before_snapshot(hook)   hooks run in reverse order, the last registered first
    register_after_restore(hook)     hooks run in order

Hooks of AWS's own `snapshot_restore_py` are for AWS's runtime, which runs them itself.

A restored process is one of many with the same memory: connections are dead, and numbers drawn from `random` would be
the same in all of them, so it is seeded anew. Inferir itself draws none. Restore and hooks have ten seconds.
"""

from __future__ import annotations

import sys

from inferir.lambda_entry import protocol
from inferir.lambda_entry.errors import stack_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn

    from inferir.lambda_entry.client import Connection

__all__ = ["register_after_restore", "register_before_snapshot", "restore"]

_before: list[Callable[[], Any]] = []
_after: list[Callable[[], Any]] = []


def register_before_snapshot(hook: Callable[[], Any]) -> Callable[[], Any]:
    """Call `hook` before the snapshot. Can be used as a decorator."""
    _before.append(hook)
    return hook


def register_after_restore(hook: Callable[[], Any]) -> Callable[[], Any]:
    """Call `hook` in every restored process. Can be used as a decorator."""
    _after.append(hook)
    return hook


def restore(connection: Connection) -> None:
    """Run the hooks around the snapshot. Raises SystemExit 64 or 65 where one fails; 1 where Lambda has no restore."""
    try:
        for hook in reversed(_before):
            hook()
    except Exception as error:
        _fail(connection, "init/error", "Runtime.BeforeSnapshotError", error, 64)
    reply = connection.exchange(protocol.get(connection.host, "restore/next"))
    connection.close()
    if reply.status not in (200, 404):  # 404: this environment takes no snapshots
        sys.stderr.write(f"expected the restore, got status {reply.status}\n")
        raise SystemExit(1)
    try:
        if "random" in sys.modules:
            sys.modules["random"].seed()
        for hook in _after:
            hook()
    except Exception as error:
        _fail(connection, "restore/error", "Runtime.AfterRestoreError", error, 65)


def _fail(connection: Connection, what: str, kind: str, error: Exception, code: int) -> NoReturn:
    document = protocol.error_document(str(error), type(error).__name__, stack_of(error))
    connection.exchange(protocol.post_error(connection.host, what, kind, document))
    raise SystemExit(code)
