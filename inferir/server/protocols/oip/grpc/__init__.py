"""The Open Inference Protocol over gRPC (extra `grpc`): the same models, codecs and rules as over HTTP.

messages.py   the protocol's messages, as a table
tensors.py    messages <-> tensors
server.py     calls, and the port
"""

from __future__ import annotations

import logging
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inferir.errors import BackendError, FileAccessError, InvalidInputError
from inferir.server.parts import Parts
from inferir.server.request.auth import Keys
from inferir.server.settings import Settings

if TYPE_CHECKING:
    from inferir.server.protocols.oip.grpc.server import GrpcServer

__all__ = ["start"]

_log = logging.getLogger("inferir.server")


async def start(parts: Parts, keys: Keys) -> GrpcServer | None:
    """The service, listening on the port that the settings name; None where they name none.

    Raises BackendError (E009) where grpcio is not installed, InvalidInputError (E006) where the port cannot be had.
    """
    settings = parts.settings
    if settings.grpc_port < 0:
        return None
    try:
        grpc = import_module("grpc")
        module = import_module("inferir.server.protocols.oip.grpc.server")
    except ImportError as error:
        raise BackendError(f"expected grpcio for grpc_port, got: {error}; install inferir[grpc]") from error
    server: GrpcServer = module.GrpcServer(parts, keys)
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    address = f"{host}:{settings.grpc_port}"
    try:
        port = await server.start(address, _credentials(grpc, settings))
    except RuntimeError as error:
        raise InvalidInputError(f"expected an address for gRPC, got {address}: {error}") from error
    _log.info("gRPC on %s:%s", host, port)
    return server


def _credentials(grpc: Any, settings: Settings) -> Any:
    """The certificates of HTTP, for gRPC; None without. Raises FileAccessError (E010)."""
    if not settings.tls_certificate:
        return None
    try:
        certificate = Path(settings.tls_certificate).read_bytes()
        key = Path(settings.tls_key).read_bytes()
        authority = Path(settings.tls_client_ca).read_bytes() if settings.tls_client_ca else None
    except OSError as error:
        raise FileAccessError(f"expected files of a certificate and its key, got: {error}") from error
    return grpc.ssl_server_credentials([(key, certificate)], authority, authority is not None)
