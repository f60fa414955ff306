"""From settings to a server that runs until it is told to stop: one process here, several in supervisor.py."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import signal
from collections.abc import Callable

from inferir.errors import FileAccessError, InvalidInputError
from inferir.formats.apr.keys import load_public_key
from inferir.server.models.watcher import Watcher
from inferir.server.request.auth import Keys, parse_keys
from inferir.server.settings import Settings
from inferir.server.starting import configure_logging, open_socket, point_aliases, run_loop, tls_context, url_of

__all__ = ["check", "run"]

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
