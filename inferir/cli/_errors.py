"""What a failed command says, and its exit code. One line on standard error, whatever happened:

    error: [E003] expected 30 columns, got 29

A program tells errors apart by exit code or by the code in brackets; both are stable (docs/reference/command-line.md).
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Mapping

import click

from inferir.errors import InferirError

__all__ = ["DIFFERS", "EXIT_CODES", "FAILED", "exit_code_help", "report"]

DIFFERS = FAILED = 1
_BUG = 70
_INTERRUPTED = 130
_BROKEN_PIPE = 141

#: Exit code -> meaning. Those of errors are 10 and the number of the error's code.
EXIT_CODES: Mapping[int, str] = {
    0: "done",
    DIFFERS: "check, demo: the answers differ by more than the contract allows; lambda: the function failed",
    2: "the command line is wrong",
    11: "E001: not an .apr file, truncated, or with bad metadata",
    12: "E002: the bytes changed after they were written",
    13: "E003: the wrong number or the wrong names of columns",
    14: "E004: a model, operator, version or kind of file that is not supported",
    15: "E005: not enough memory",
    16: "E006: a value of the wrong kind",
    17: "E007: the signature is wrong, missing, or its key is not trusted",
    18: "E008: the model has no such answer",
    19: "E009: a package or a backend is missing",
    20: "E010: a file is missing, or may not be read or written",
    21: "E011: a request names a model that is not served",
    _BUG: "a bug in Inferir",
    _INTERRUPTED: "interrupted (Ctrl-C)",
    _BROKEN_PIPE: "whoever read the output stopped reading",
}


def report(error: BaseException, *, debug: bool) -> int:
    """Say what happened; the exit code."""
    if isinstance(error, BrokenPipeError):
        _forget_output()
        return _BROKEN_PIPE
    if debug:
        traceback.print_exception(error)
    if isinstance(error, KeyboardInterrupt):
        _say("interrupted")
        return _INTERRUPTED
    code, text = _code_and_text(error)
    if code is None:
        hint = "" if debug else "; `inferir --debug ...` shows where"
        _say(f"error: a bug in Inferir: {type(error).__name__}: {text}{hint}")
        return _BUG
    _say(f"error: [{code}] {text}")
    return 10 + int(code[1:])


def _code_and_text(error: BaseException) -> tuple[str | None, str]:
    if isinstance(error, InferirError):
        return error.code, error.message
    if isinstance(error, MemoryError):
        return "E005", "not enough memory"
    if isinstance(error, OSError) and error.strerror:
        return "E010", f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return None, str(error)


def _say(text: str) -> None:
    click.echo(" ".join(text.split()), err=True)


def _forget_output() -> None:
    """Point standard output at nothing: Python would try to flush it once more on its way out, and complain."""
    devnull = os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, sys.stdout.fileno())
    os.close(devnull)


def exit_code_help() -> str:
    """The table, for `inferir --help`."""
    lines = [f"  {code:<4}{meaning}" for code, meaning in EXIT_CODES.items()]
    return "\b\nExit codes:\n" + "\n".join(lines)
