"""The server: many models behind one port, HTTP and the protocols that model-serving clients speak.

settings    what it was told
app         puts the parts together
gate        one request, from its first byte to its answer
dataplane   a reference and rows in, answers out
registry    which versions are loaded
"""

from __future__ import annotations

from inferir.server.settings import Settings

__all__ = ["Settings"]
