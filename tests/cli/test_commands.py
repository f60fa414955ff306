"""The command as a whole: help, errors in one line, exit codes, interrupted and cut off."""

from __future__ import annotations

import inspect
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import click
import pytest
from click.testing import Result

from inferir import errors
from inferir.cli import COMMANDS, _Commands, commands
from inferir.cli import inspect as inspect_module
from inferir.cli._errors import EXIT_CODES
from tests.cli.conftest import Case
from tests.patience import PATIENCE_S

Run = Callable[..., Result]
Start = Callable[..., "subprocess.Popen[bytes]"]


def _loaded(name: str) -> click.Command:
    assert isinstance(commands, _Commands)
    command = commands.get_command(click.Context(commands), name)
    assert command is not None
    return command


def test_help_lists_every_command_and_every_exit_code(run: Run) -> None:
    result = run("--help")
    assert result.exit_code == 0
    for name in COMMANDS:
        assert re.search(rf"^  {name} ", result.stdout, re.MULTILINE)
    for code, meaning in EXIT_CODES.items():
        assert re.search(rf"^ +{code} +{re.escape(meaning[:40])}", result.stdout, re.MULTILINE)


@pytest.mark.parametrize("name", COMMANDS)
def test_summary_in_the_table_is_that_of_the_command(name: str) -> None:
    command = _loaded(name)
    assert command.name == name
    assert inspect.cleandoc(command.help or "").splitlines()[0] == COMMANDS[name][1]


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_a_command_has_an_example_that_parses(name: str, run: Run) -> None:
    result = run(name, "--help")
    assert result.exit_code == 0
    examples = [
        line.strip() for line in result.stdout.splitlines() if f"inferir {name}" in line and "Usage" not in line
    ]
    assert examples
    for example in examples:
        arguments = example.partition(f"inferir {name}")[2].split("|")[0].split()
        _loaded(name).make_context(name, arguments, resilient_parsing=False)


def test_version(run: Run) -> None:
    import inferir

    assert run("--version").stdout == f"inferir {inferir.__version__}\n"


def test_every_error_has_an_exit_code_of_its_own() -> None:
    codes = {e.code for _, e in inspect.getmembers(errors, inspect.isclass) if e.code != "E000"}
    assert {10 + int(code[1:]): code for code in codes} == {
        exit_code: meaning[:4] for exit_code, meaning in EXIT_CODES.items() if meaning.startswith("E0")
    }


def test_reference_page_has_the_table_of_exit_codes() -> None:
    page = Path(__file__).parents[2] / "docs/reference/command-line.md"
    rows = re.findall(r"^\| (\d+) \| (.+) \|$", page.read_text(encoding="utf-8"), re.MULTILINE)
    assert {int(code): meaning for code, meaning in rows} == EXIT_CODES


@pytest.mark.parametrize(
    "arguments", [["fly"], ["--fly"], ["inspect"], ["inspect", "a", "--fly"], ["bench", "m", "--batch", "0"]]
)
def test_wrong_command_lines_are_exit_code_2(arguments: list[str], run: Run) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert "Usage: inferir" in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize(
    ("content", "code", "exit_code"),
    [(b"GGUF\x03\0\0\0", "E001", 11), (b"", "E001", 11), (None, "E010", 20)],
)
def test_an_error_is_one_line_with_its_code(
    content: bytes | None, code: str, exit_code: int, tmp_path: Path, run: Run
) -> None:
    model = tmp_path / "a model\nwith two lines.apr"
    if content is not None:
        model.write_bytes(content)
    result = run("inspect", model)
    assert result.exit_code == exit_code
    assert result.stdout == ""
    assert re.fullmatch(rf"error: \[{code}\] [^\n]+\n", result.stderr)


def test_debug_shows_where_an_error_came_from(tmp_path: Path, run: Run) -> None:
    result = run("--debug", "inspect", tmp_path / "none.apr")
    assert result.exit_code == 20
    assert "Traceback" in result.stderr
    assert result.stderr.splitlines()[-1].startswith("error: [E010]")


@pytest.mark.parametrize(
    ("raised", "exit_code", "text"),
    [
        (ZeroDivisionError("division by zero"), 70, "error: a bug in Inferir: ZeroDivisionError: division by zero; "),
        (MemoryError(), 15, "error: [E005] not enough memory"),
        (PermissionError(13, "Permission denied", "x.csv"), 20, "error: [E010] x.csv: Permission denied"),
        (KeyboardInterrupt(), 130, "interrupted"),
    ],
)
def test_what_python_raises_has_an_exit_code_too(
    raised: BaseException, exit_code: int, text: str, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise raised

    monkeypatch.setattr(inspect_module, "describe", fail)
    result = run("inspect", "model.apr")
    assert result.exit_code == exit_code
    assert result.stderr.startswith(text)
    assert result.stderr.count("\n") == 1


def test_help_imports_neither_numpy_nor_numba_nor_rich() -> None:
    code = (
        "import sys; sys.argv = ['inferir', '--help']\n"
        "from inferir.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print(*sorted({'numpy', 'numba', 'rich', 'pyarrow', 'sklearn'} & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=PATIENCE_S, check=True)
    assert done.stderr == "\n"
    assert done.stdout.startswith("Usage: inferir")


@pytest.mark.skipif(sys.platform == "win32", reason="pipes close otherwise on Windows")
def test_a_reader_that_stops_reading_is_no_error(forest: Case, start: Start) -> None:
    process = start("predict", forest.apr, forest.csv)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    assert process.wait(PATIENCE_S) == 141
    assert process.stderr.read() == b""


@pytest.mark.skipif(sys.platform == "win32", reason="SIGINT cannot be sent to one process on Windows")
def test_ctrl_c_ends_it_without_a_traceback(forest: Case, start: Start) -> None:
    process = start("predict", forest.apr, "-", "--batch-rows", "100")
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    names, *lines = Path(forest.csv).read_bytes().splitlines(keepends=True)
    process.stdin.write(names + b"".join(lines) * 50)  # enough for the answers to fill a buffer
    process.stdin.flush()
    assert process.stdout.read(1) == b"p"  # it runs, and waits for more
    process.send_signal(signal.SIGINT)
    assert process.wait(PATIENCE_S) == 130
    assert process.stderr.read() == b"interrupted\n"
