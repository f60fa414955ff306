"""Options that several commands have, each said once."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, TypeVar

import click

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

trusted_keys = click.option(
    "--trusted-key",
    "trusted_keys",
    multiple=True,
    metavar="KEY",
    help="Public key (a file or base64) whose signature is accepted; may be given again. A signed model needs one, and "
    "with one an unsigned model is refused.",
)

pickles = click.option(
    "--trust-pickle",
    is_flag=True,
    help="Load a .pkl, .joblib or .skops file. Loading one runs whatever code its author put in it: do it for files "
    "that you made yourself, or would run as a program.",
)

data_format = click.option(
    "--data-format", metavar="FORMAT", help="csv, json, jsonl, parquet or arrow.  [default: by the file's suffix]"
)
