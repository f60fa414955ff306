"""`inferir serve`: the HTTP server. Its options are the settings of inferir/server/settings.py, one each."""

from __future__ import annotations

import dataclasses
import logging
import os
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

import click

from inferir.cli._options import EXISTING
from inferir.cli._output import print_json
from inferir.errors import BackendError
from inferir.server.settings import Settings, from_layers


def _options(command: click.Command) -> click.Command:
    for each in dataclasses.fields(Settings):
        if each.name != "models":
            command.params.append(_option(each))
    return command


def _option(each: dataclasses.Field[Any]) -> click.Option:
    flag = "--" + each.name.replace("_", "-")
    about = each.metadata["help"]
    default = each.default
    if isinstance(default, bool):
        return click.Option([f"{flag}/--no-{flag[2:]}"], default=None, help=f"{about}  [default: {_WORD[default]}]")
    shown = "" if default in ("", ()) else f"  [default: {default}]"
    many = isinstance(default, tuple)
    kind: Any = click.Choice(each.metadata["choices"]) if each.metadata["choices"] else str if many else type(default)
    return click.Option([flag], type=kind, multiple=many, default=None, help=about + shown)


_WORD = {True: "yes", False: "no"}


@_options
@click.command
@click.argument("models", nargs=-1, type=EXISTING)
@click.option("--config", type=EXISTING, help="TOML file of settings, keys spelled as the options with _ for -.")
@click.option("--print-settings", is_flag=True, help="Print the settings that hold, as JSON, and do nothing else.")
def serve(models: tuple[str, ...], config: str | None, print_settings: bool, **options: Any) -> None:
    """Serve models over HTTP.

    MODELS are .apr files, and folders of them; files that change are loaded again while the server runs. Every option
    is also an environment variable (--max-queue is INFERIR_MAX_QUEUE) and a key of the --config file; the command line
    wins over the environment, and that over the file.

    \b
    Examples:
      inferir serve model.apr
      inferir serve models/ --workers 4 --port 9000
      curl localhost:8080/predict -d '{"features": [5.1, 3.5, 1.4, 0.2]}'
    """
    said = {name: value for name, value in options.items() if value not in (None, ())}
    if models:
        said["models"] = models
    settings = from_layers(said, os.environ, config)
    if print_settings:
        print_json(settings.shown())
        return
    start(settings, started=partial(_say, json=settings.log_format == "json"))


def _say(url: str, *, json: bool) -> None:
    if json:
        logging.getLogger("inferir").info("serving on %s", url)
    else:
        with suppress(OSError):  # a full disk is no reason not to serve
            click.echo(f"serving on {url}", err=True)


def start(settings: Settings, *, started: Callable[[str], None]) -> None:
    """Serve until told to stop. Raises BackendError (E009) where the server's packages are not installed."""
    try:
        from inferir.server.run import run  # takes a second to import, and may not be installed
    except ImportError as error:
        raise BackendError(f"expected the package {error.name!r}; `pip install inferir[server]` brings it") from error
    run(settings, started=started)
