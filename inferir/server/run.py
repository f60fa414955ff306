"""From settings to a server that runs until it is told to stop: one process here, several in supervisor.py."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import signal
import socket
import ssl
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from inferir.errors import FileAccessError, InvalidInputError
from inferir.formats.apr.keys import load_public_key
from inferir.server.errors import ConflictError
from inferir.server.models.watcher import Watcher
from inferir.server.request.auth import Keys, parse_keys
from inferir.server.settings import Settings

__all__ = ["check", "configure_logging", "open_socket", "point_aliases", "run", "run_loop", "tls_context"]

_log = logging.getLogger("inferir.server")


def run(settings: Settings, *, started: Callable[[str], None] = lambda url: None) -> None:
    """Serve until SIGTERM or SIGINT. `started` is called with the URL when every model is loaded.

    Raises InferirError where the server cannot start: no model that loads, a port that is taken, ...
    """
    if not settings.models:
        raise InvalidInputError("models: expected .apr files, or folders of them, got none")
    keys = check(settings)
    configure_logging(settings)
    run_loop(_serve(settings, keys, started) if settings.workers == 1 else _supervise(settings, keys, started))


async def _supervise(settings: Settings, keys: Keys, started: Callable[[str], None]) -> None:
    from inferir.server.workers.supervisor import Supervisor  # as below

    await Supervisor(settings, keys).run(started)


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


async def _serve(settings: Settings, keys: Keys, started: Callable[[str], None]) -> None:
    from inferir.server.app import App  # after the settings are known to be good: it takes a second to import

    app = App(settings, keys)
    watcher = Watcher(settings.models, app.library.load, app.library.forget)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    tasks: set[asyncio.Task[None]] = set()
    loop.add_signal_handler(signal.SIGHUP, lambda: tasks.add(loop.create_task(watcher.refresh(at_once=True))))
    listener = open_socket(settings)
    try:
        await app.listen([listener], tls_context(settings))
        await watcher.first()
        await point_aliases(settings, app.library.alias)
        if settings.default_model:
            app.registry.resolve(settings.default_model)  # raises where there is none of that name
        app.loaded = True
        if not len(app.registry):
            _log.warning("no model is loaded: expected .apr files in %s", ", ".join(settings.models))
        started(url_of(settings, listener))
        if settings.watch_s:
            tasks.add(loop.create_task(watcher.run(settings.watch_s)))
        await stop.wait()
        _log.info("stopping")
    finally:
        for task in tasks:
            task.cancel()
        await app.stop()
        listener.close()


async def point_aliases(settings: Settings, alias: Callable[[str, str], Awaitable[None]]) -> None:
    """Those of the settings, once every model is loaded. Raises InvalidInputError (E006), UnknownModelError (E011)."""
    for each in settings.aliases:
        name, _, reference = each.partition("=")
        try:
            await alias(name, reference)
        except ConflictError as error:
            raise InvalidInputError(f"aliases: {error.message}") from error


def check(settings: Settings) -> Keys:
    """The keys, if these settings may be served with. Raises InvalidInputError (E006), FileAccessError (E010)."""
    lines = settings.api_keys.replace(";", "\n").splitlines()
    where = "api_keys"
    if settings.api_keys_file:
        where = settings.api_keys_file
        try:
            with open(where, encoding="utf-8") as file:
                lines += file.read().splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise FileAccessError(f"{where}: expected a file of keys, got: {error}") from error
    keys = parse_keys(lines, where)
    if not keys and (settings.api_keys_file or settings.api_keys):
        raise InvalidInputError(f"{where}: expected at least one key, got none")
    for key in settings.trusted_keys:
        load_public_key(key)  # now, and not when the first model is refused
    if not keys and not settings.insecure and not _is_loopback(settings.host):
        raise InvalidInputError(
            f"expected API keys, as the server listens on {settings.host} and not on loopback alone, got none; "
            "give --api-keys-file, or --insecure where something else keeps strangers out"
        )
    return keys


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


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
