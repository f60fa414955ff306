"""Protocols that clients already speak.

oip/            Open Inference Protocol: /v2 and gRPC
invocations.py  /ping and /invocations, of SageMaker's and MLflow's containers
"""

from __future__ import annotations

from inferir.server.parts import Parts
from inferir.server.protocols.containers import ContainerHandlers
from inferir.server.protocols.oip.handlers import OipHandlers
from inferir.server.protocols.oip.repository import RepositoryHandlers
from inferir.server.request.routes import Route

__all__ = ["routes"]


def routes(parts: Parts) -> list[Route]:
    """The routes of all protocols over HTTP."""
    # Fixed paths before those with parameters: /v2/models/stats is no model.
    return [*RepositoryHandlers(parts).routes(), *OipHandlers(parts).routes(), *ContainerHandlers(parts).routes()]
