"""Ports for what cannot say which one it took."""

from __future__ import annotations

import os
import random
import socket

#: Below those that Linux gives to who asks for any: so nobody is given one between our look and its use.
_RANGE = range(20_000, 32_000)

#: Processes that run tests side by side (pytest-xdist) take ports out of shares of their own.
_SHARES = 16

_given: set[int] = set()


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on, and that no other test was given."""
    share = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % _SHARES
    ports = [port for port in _RANGE[share::_SHARES] if port not in _given]
    for port in random.SystemRandom().sample(ports, len(ports)):
        _given.add(port)
        with socket.socket() as found:
            try:
                found.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("no port is free")
