"""docs/reference/command-line.md: commands, their options and exit codes, from the commands themselves."""

from __future__ import annotations

import inspect
import re
import textwrap

import click

from inferir.cli import COMMANDS, commands
from inferir.cli._errors import EXIT_CODES

_INTRODUCTION = """\
# The command line

```text
inferir [--debug] COMMAND ...
```

`inferir` and `python -m inferir` are the same. `inferir --help` lists the commands, `inferir COMMAND --help` says what
one takes. This page is made from the commands by `docs/tools/build.py`.

- Answers and tables go to standard output; errors and progress go to standard error.
- An error is one line, `error: [E003] ...`, and an exit code from the table at the end.
- `--debug`, before the command, also shows where in the code an error came from.
- A path of `-` is standard input or output, where a command reads or writes rows.
"""

_END = """\
## Exit codes

Codes of errors are 10 and the number of the error. What each error means and how to cure it: [errors.md](errors.md).

| exit code | meaning |
|---|---|
"""


def page() -> str:
    """The page's text."""
    context = click.Context(commands, info_name="inferir")
    parts = [_INTRODUCTION]
    for name in COMMANDS:
        command = commands.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            parts.append(f"## {name}\n\n{_help(command)[0]}")
            parts.extend("#" + _command(f"{name} {part}", each) for part, each in command.commands.items())
        else:
            parts.append(_command(name, command))
    codes = "".join(f"| {code} | {meaning} |\n" for code, meaning in EXIT_CODES.items())
    return "\n".join([*parts, _END + codes])


def _command(name: str, command: click.Command) -> str:
    arguments = [p for p in command.params if isinstance(p, click.Argument)]
    options = [p for p in command.params if isinstance(p, click.Option)]
    required = [f"{option.opts[-1]} {_metavar(option)}" for option in options if option.required]
    usage = " ".join(["inferir", name, *map(_placeholder, arguments), *required, "[OPTIONS]"])
    text, examples = _help(command)
    parts = [f"## {name}\n\n```text\n{usage}\n```\n\n", text]
    if options:
        rows = "".join(f"| {_flags(option)} | {_described(option)} |\n" for option in options)
        parts.append("\n| option | |\n|---|---|\n" + rows)
    if examples:
        parts.append(f"\n```text\n{examples}\n```\n")
    return "".join(parts)


def _placeholder(argument: click.Argument) -> str:
    name = (argument.name or "").upper()
    return name if argument.required else f"[{name}]"


def _metavar(option: click.Option) -> str:
    if option.metavar:
        return option.metavar
    return {"INTEGER RANGE": "N", "INTEGER": "N"}.get(option.type.name.upper(), option.type.name.upper())


def _flags(option: click.Option) -> str:
    flags = ", ".join(f"`{flag}`" for flag in option.opts)
    return flags if option.is_flag else f"{flags} {_metavar(option)}"


def _described(option: click.Option) -> str:
    """The help text, with its default, but for the number of cores of this machine."""
    text = re.sub(r", here \d+", "", " ".join((option.help or "").split()))
    text = re.sub(r" *\[default: (.*)\]", r" Default: \1.", text)
    if option.required:
        text += " Required."
    elif option.show_default is True and option.default not in (None, False):
        text += f" Default: {option.default}."
    if option.multiple and "again" not in text:
        text += " May be given again."
    return text.replace("|", "\\|")


def _help(command: click.Command) -> tuple[str, str]:
    """The text of a command, and its examples."""
    text = inspect.cleandoc(command.help or "")
    body, _, examples = text.partition("\b\n")
    heading, _, lines = examples.partition("\n")
    assert not examples or heading.rstrip(":") in ("Example", "Examples"), heading
    return body.strip() + "\n", textwrap.dedent(lines).strip()
