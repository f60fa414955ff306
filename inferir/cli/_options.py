"""Options that several commands have, each said once."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

import click

from inferir.errors import SignatureError

__all__ = ["EXISTING", "as_json", "backend", "data_format", "pickles", "threads", "trusted_keys"]

F = TypeVar("F", bound=Callable[..., Any])
Option = Callable[[F], F]

#: A path that is read. Whether it is there is found out by reading it: then the error has its code.
EXISTING = click.Path(path_type=str)

as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")

backend = click.option(
    "--backend", default="auto", show_default=True, metavar="NAME", help="Kernels to use; `inferir info` lists them."
)

threads = click.option(
    "--threads",
    type=click.IntRange(min=1),
    default=None,
    help=f"Threads for large batches.  [default: one per core, here {os.cpu_count() or 1}]",
)

_trusted_key = click.option(
    "--trusted-key",
    "trusted_keys",
    multiple=True,
    metavar="KEY",
    help="Public key (a file or base64) whose signature is accepted; may be given again. A signed model needs one, and "
    "with one an unsigned model is refused.",
)


def trusted_keys(command: F) -> F:
    """The option, and its name in what the command says of signatures."""

    @wraps(command)
    def named(*arguments: Any, **options: Any) -> Any:
        try:
            return command(*arguments, **options)
        except SignatureError as error:
            error.asked_as = "--trusted-key"
            raise

    return cast(F, _trusted_key(named))


pickles = click.option(
    "--trust-pickle",
    is_flag=True,
    help="Load a .pkl, .joblib or .skops file. Loading one runs whatever code its author put in it: do it for files "
    "that you made yourself, or would run as a program.",
)

data_format = click.option(
    "--data-format", metavar="FORMAT", help="csv, json, jsonl, parquet or arrow.  [default: by the file's suffix]"
)
