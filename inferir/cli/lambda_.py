"""`inferir lambda`: a package on this machine."""

from __future__ import annotations

import tempfile
from pathlib import Path

import click

from inferir.cli._errors import FAILED
from inferir.cli._options import EXISTING
from inferir.cli._output import seconds_text
from inferir.errors import FileAccessError

_STDERR = 2


@click.group("lambda")
def lambda_() -> None:
    """Run a package for AWS Lambda on this machine.

    \b
    Example:
      inferir lambda invoke model.zip event.json
    """


@lambda_.command
@click.argument("package", type=EXISTING)
@click.argument("event", type=EXISTING)
@click.option("--interpreter", metavar="PYTHON", help="Python to run it.  [default: the one it was compiled for]")
@click.option(
    "--repeat", type=click.IntRange(min=1), default=1, show_default=True, help="Send the event that many times."
)
@click.option("--timeout", type=click.FloatRange(min=0.001), default=30.0, show_default=True, help="Seconds to wait.")
def invoke(package: str, event: str, interpreter: str | None, repeat: int, timeout: float) -> None:
    """Send an event to a package as Lambda would.

    PACKAGE is a zip of `inferir package` for this machine's processor, EVENT a file with one JSON value. The answer
    goes to standard output, the function's log and times to standard error.

    \b
    Example:
      inferir lambda invoke model.zip event.json
    """
    from inferir.lambda_entry.emulator import Emulator, interpreter_for, unpack

    try:
        data = Path(event).read_bytes()
    except OSError as error:
        raise FileAccessError(f"{event}: expected an event to read, got: {error.strerror}") from error
    with tempfile.TemporaryDirectory() as folder:
        unpack(package, folder)
        python = interpreter or interpreter_for(folder)
        with Emulator(folder, python, log=_STDERR, timeout_s=timeout) as function:
            outcomes = [function.invoke(data) for _ in range(repeat)]
    click.echo(outcomes[-1].body.decode("utf-8", "replace"))
    times = [f"first answer after {seconds_text(outcomes[0].seconds)}"]
    if repeat > 1:
        times.append(f"{repeat - 1} more, the fastest after {seconds_text(min(o.seconds for o in outcomes[1:]))}")
    click.echo("; ".join(times), err=True)
    if any(outcome.error for outcome in outcomes):
        raise SystemExit(FAILED)
