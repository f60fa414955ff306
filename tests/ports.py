"""Ports for what cannot say which one it took."""

from __future__ import annotations

import random
import socket

#: Below those that Linux gives to who asks for any: so nobody is given one between our look and its use.
_RANGE = range(20_000, 32_000)


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on."""
    while True:
        port = random.choice(_RANGE)
        with socket.socket() as found:
            try:
                found.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
