"""What a start takes, of one process and of several: the log, the loop, a socket, TLS, aliases."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from inferir.errors import FileAccessError, InvalidInputError
from inferir.server.errors import ConflictError
from inferir.server.settings import Settings

__all__ = ["configure_logging", "open_socket", "point_aliases", "run_loop", "tls_context", "url_of"]


def configure_logging(settings: Settings) -> None:
    """The log on standard error, ours and that of the libraries below us: a line of text each, or of JSON."""
    handler = logging.StreamHandler()
    if settings.log_format == "json":
        from inferir.server.telemetry.logs import JsonFormatter

        handler.setFormatter(JsonFormatter())
    else:
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logging.getLogger().handlers[:] = [handler]
    logging.getLogger("inferir").setLevel(logging.INFO)


def run_loop(main: Coroutine[Any, Any, None]) -> None:
    """Run on uvloop where it is installed, on asyncio otherwise."""
    try:
        import uvloop
    except ImportError:
        asyncio.run(main)
    else:
        uvloop.run(main)


def open_socket(settings: Settings, *, share: bool = False) -> socket.socket:
    """A bound socket. `share`: other sockets may be bound to the same port. Raises InvalidInputError (E006)."""
    try:
        family, kind, proto, _, address = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        made = socket.socket(family, kind, proto)
        try:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if share:
                made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            made.bind(address)
        except BaseException:
            made.close()
            raise
    except OSError as error:
        raise InvalidInputError(
            f"expected an address to listen on, got {settings.host} port {settings.port}: {error.strerror or error}"
        ) from error
    made.setblocking(False)
    return made


def url_of(settings: Settings, listener: socket.socket) -> str:
    """Where the server answers."""
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return f"{'https' if settings.tls_certificate else 'http'}://{host}:{listener.getsockname()[1]}"


def tls_context(settings: Settings) -> ssl.SSLContext | None:
    """TLS 1.2 and later, with client certificates where an authority for them is named.

    Raises FileAccessError (E010), InvalidInputError (E006).
    """
    if not settings.tls_certificate:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(settings.tls_certificate, settings.tls_key)
        if settings.tls_client_ca:
            context.load_verify_locations(settings.tls_client_ca)
            context.verify_mode = ssl.CERT_REQUIRED
    except ssl.SSLError as error:
        files = ", ".join(filter(None, (settings.tls_certificate, settings.tls_key, settings.tls_client_ca)))
        raise InvalidInputError(f"{files}: expected a certificate and its key in PEM, got: {error}") from error
    except OSError as error:
        raise FileAccessError(f"expected files of a certificate and its key, got: {error}") from error
    return context


async def point_aliases(settings: Settings, alias: Callable[[str, str], Awaitable[None]]) -> None:
    """Those of the settings, once every model is loaded. Raises InvalidInputError (E006), UnknownModelError (E011)."""
    for each in settings.aliases:
        name, _, reference = each.partition("=")
        try:
            await alias(name, reference)
        except ConflictError as error:
            raise InvalidInputError(f"aliases: {error.message}") from error
