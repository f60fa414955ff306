"""The `inferir` command.

A command is imported when it is asked for; the table below is what `inferir --help` needs of it. All of them end here:
the group turns whatever a command raises into one line on standard error and an exit code from `_errors.EXIT_CODES`.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping
from typing import Any

import click

from inferir import __version__
from inferir.cli._errors import exit_code_help, report

__all__ = ["COMMANDS", "commands", "main"]

#: Command -> "module:function" and the first sentence of its help, in the order in which one comes to need them.
COMMANDS: Mapping[str, tuple[str, str]] = {
    "demo": ("demo:demo", "Run two models that come with Inferir, and compare with what their libraries answered."),
    "convert": ("convert:convert", "Turn a trained model into an .apr file."),
    "inspect": ("inspect:inspect", "Show what is in an .apr file."),
    "check": ("check:check", "Compare a model's answers with those of the library it came from."),
    "predict": ("predict:predict", "Answer the rows of a data file of any size."),
    "explain": ("explain:explain", "Say what each column added to each row's score."),
    "serve": ("serve:serve", "Serve models over HTTP."),
    "bench": ("bench:bench", "Measure the time a model takes per row."),
    "package": ("package:package", "Make what is deployed to AWS Lambda."),
    "lambda": ("lambda_:lambda_", "Run a package for AWS Lambda on this machine."),
    "keygen": ("signing:keygen", "Make a pair of keys to sign models with."),
    "sign": ("signing:sign", "Sign an .apr file."),
    "verify": ("signing:verify", "Check that an .apr file is whole, and who signed it."),
    "info": ("info:info", "Show versions, processor, kernels and cache."),
}


class _Commands(click.Group):
    """Commands that are imported when they are used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        module, _, function = COMMANDS[name][0].partition(":")
        command: click.Command = getattr(importlib.import_module(f"inferir.cli.{module}"), function)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in COMMANDS.items()])

    def invoke(self, ctx: click.Context) -> Any:
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except (Exception, KeyboardInterrupt) as error:
            ctx.exit(report(error, debug=ctx.params["debug"]))
        return result


@click.group(cls=_Commands, epilog=exit_code_help(), context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="inferir %(version)s")
@click.option("--debug", is_flag=True, help="Show where an error came from.")
def commands(debug: bool) -> None:
    """Run trained classical models, fast and without the library that trained them.

    \b
    Try it:            inferir demo
    From a model:      inferir convert model.json -o model.apr
    To its answers:    inferir predict model.apr rows.csv -o answers.csv
    """


def main() -> None:
    """Entry point of the console script."""
    commands(prog_name="inferir")
