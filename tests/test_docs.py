"""The documentation says what is so: its code runs, its links lead somewhere, its tables are the program's.

What a fenced block is, by the word behind the fence:

    python            run, all of a page in one namespace and one empty folder, in order
    pycon             run there too, as a doctest: what is printed has to be what the page says; ... stands for anything
    python PATH       an excerpt: these very lines stand in that file
    console           commands behind "$ ", run there too; what they print has to be what the page says, if it says it
    anything else     not looked at

A command whose output begins with "error: [E..." has to fail with the exit code of that error, others have to succeed.
"""

from __future__ import annotations

import doctest
import importlib.util
import inspect
import re
import shlex
import sys
import textwrap
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import pytest
from click.testing import CliRunner
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import inferir
from inferir import errors
from inferir.cli import COMMANDS, commands
from inferir.formats.importers import CLASSES
from inferir.kernels.signatures import KERNELS
from inferir.operators import OPERATORS

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md")])

_FENCE = re.compile(r"^( *)```(\S*) *([^\n`]*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
_CHECKER = doctest.OutputChecker()
_FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


class Block(NamedTuple):
    """A fenced block; `line` is that of its first line, counted from 1."""

    kind: str
    about: str
    text: str
    line: int


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def blocks(page: Path) -> list[Block]:
    text = text_of(page)
    return [
        Block(match[2], match[3].strip(), textwrap.dedent(match[4]), text.count("\n", 0, match.start(4)) + 1)
        for match in _FENCE.finditer(text)
    ]


def prose(page: Path) -> str:
    return _FENCE.sub("", text_of(page))


def is_run(block: Block) -> bool:
    return (block.kind == "python" and not block.about) or block.kind in ("pycon", "console")


# -- code


@pytest.mark.parametrize("page", [page for page in PAGES if any(map(is_run, blocks(page)))], ids=name_of)
def test_code_runs(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, Any] = {"__name__": "__main__", **given(page)}
    for block in filter(is_run, blocks(page)):
        if block.kind == "python":
            padding = "\n" * (block.line - 1)  # so that a traceback has the page's line
            exec(compile(padding + block.text, name_of(page), "exec"), namespace)  # noqa: S102 - our own pages
        elif block.kind == "pycon":
            run_doctest(block, page, namespace)
        else:
            run_commands(block, page)


def given(page: Path) -> dict[str, Any]:
    """What the reader of a page has already: of the README, a fitted pipeline and rows; elsewhere nothing."""
    if page != ROOT / "README.md":
        return {}
    rows, target = load_iris(return_X_y=True)
    return {"pipeline": make_pipeline(StandardScaler(), LogisticRegression()).fit(rows, target), "rows": rows}


def run_doctest(block: Block, page: Path, namespace: dict[str, Any]) -> None:
    test = doctest.DocTestParser().get_doctest(block.text, {}, name_of(page), name_of(page), block.line - 1)
    assert test.examples, f"{name_of(page)}, line {block.line}: no >>> in a pycon block"
    test.globs = namespace
    said: list[str] = []
    result = doctest.DocTestRunner(optionflags=_FLAGS, verbose=False).run(test, out=said.append, clear_globs=False)
    assert not result.failed, "".join(said)


def run_commands(block: Block, page: Path) -> None:
    parts = re.split(r"^\$ ", block.text, flags=re.MULTILINE)
    assert not parts[0].strip(), f"{name_of(page)}, line {block.line}: expected a line with '$ ' first"
    for part in parts[1:]:
        command, _, wanted = part.replace("\\\n", " ").partition("\n")
        program, *arguments = shlex.split(command)
        assert program == "inferir", f"{name_of(page)}: {command!r}: blocks that are not run are not 'console'"
        result = CliRunner().invoke(commands, arguments, prog_name="inferir")
        error = re.match(r"error: \[E(\d+)\]", wanted)
        expected = 10 + int(error[1]) if error else 0
        assert result.exit_code == expected, f"{name_of(page)}: {command}\n{result.output}"
        if wanted.strip():
            example = doctest.Example("", wanted)
            same = _CHECKER.check_output(wanted, result.output, _FLAGS)
            assert same, f"{name_of(page)}: {command}\n{_CHECKER.output_difference(example, result.output, _FLAGS)}"


@pytest.mark.parametrize(
    ("page", "block"),
    [
        pytest.param(page, block, id=f"{name_of(page)}:{block.line}")
        for page in PAGES
        for block in blocks(page)
        if block.kind == "python" and block.about
    ],
)
def test_excerpts_stand_in_their_files(page: Path, block: Block) -> None:
    wanted = block.text.strip("\n").split("\n")
    lines = text_of(ROOT / block.about).split("\n")
    at = [i for i, line in enumerate(lines) if line.strip() == wanted[0].strip()]
    assert any(textwrap.dedent("\n".join(lines[i : i + len(wanted)])).split("\n") == wanted for i in at), block.text


# -- links


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    for link in _LINK.findall(prose(page)):
        if re.match(r"[a-z]+:", link):
            continue
        target, _, anchor = link.partition("#")
        path = (page.parent / target).resolve() if target else page
        assert path.is_relative_to(ROOT), f"{link} leads out of the repository"
        assert path.exists(), f"{link}: there is no {name_of(path)}"
        if anchor:
            assert anchor in anchors(path), f"{link}: {name_of(path)} has {sorted(anchors(path))}"


def anchors(page: Path) -> set[str]:
    """Anchors of headings, as GitHub makes them."""
    headings = re.findall(r"^#+ +(.+?)\s*$", prose(page), re.MULTILINE)
    plain = [re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "").lower() for heading in headings]
    return {re.sub(r"[^\w\- ]", "", heading).replace(" ", "-") for heading in plain}


def test_every_page_is_reached_from_the_index() -> None:
    seen: set[Path] = set()
    waiting = [DOCS / "index.md"]
    while waiting:
        page = waiting.pop()
        if page in seen or page.suffix != ".md":
            continue
        seen.add(page)
        links = [link.partition("#")[0] for link in _LINK.findall(prose(page)) if not re.match(r"[a-z]+:", link)]
        waiting += [(page.parent / link).resolve() for link in links if link]
    lost = sorted(name_of(page) for page in set(DOCS.rglob("*.md")) - seen)
    assert not lost, f"link them from docs/index.md: {lost}"


# -- tables


@pytest.fixture(scope="module")
def build() -> ModuleType:
    """docs/tools/build.py."""
    sys.path.insert(0, str(DOCS / "tools"))
    try:
        spec = importlib.util.spec_from_file_location("build", DOCS / "tools" / "build.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(DOCS / "tools"))
    return module


def test_made_pages_are_fresh(build: ModuleType) -> None:
    assert build.stale() == [], "run: python docs/tools/build.py"


def page_text(name: str) -> str:
    return text_of(DOCS / "reference" / name)


def test_every_kernel_is_on_its_page() -> None:
    assert set(KERNELS) <= set(re.findall(r"\w+", page_text("kernels.md")))


def test_every_operator_is_on_its_page() -> None:
    assert set(re.findall(r"^\| `(\w+)` \|", page_text("operators.md"), re.MULTILINE)) == set(OPERATORS)


def test_every_command_is_on_its_page() -> None:
    headings = re.findall(r"^## (\w+)$", page_text("command-line.md"), re.MULTILINE)
    assert headings == [*COMMANDS]


def test_every_class_that_converts_is_on_its_page() -> None:
    assert {key.partition(".")[2] for key in CLASSES} <= set(re.findall(r"`(\w+)`", page_text("support-matrix.md")))


def test_every_error_is_on_its_page() -> None:
    rows = re.findall(r"^\| \[(E\d+)\]\(#\S+\) \| `(\w+)` \| `(\w+)` \| (\d+) \|", page_text("errors.md"), re.MULTILINE)
    known = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if kind.code != "E000"]
    wanted = {(kind.code, kind.__name__, kind.name, str(10 + int(kind.code[1:]))) for kind in known}
    assert set(rows) == wanted
    sections = re.findall(r"^## (E\d+) (\w+)$", page_text("errors.md"), re.MULTILINE)
    assert sections == sorted((kind.code, kind.name) for kind in known)


def test_the_public_api_is_on_its_page() -> None:
    """Functions with the names of their parameters, in a heading each."""
    model = inferir.Model
    members = {name: member for name, member in vars(model).items() if not name.startswith("_")}
    wanted = {"Model(" + parameters(model) + ")"}
    for name, member in members.items():
        wanted.add(f"model.{name}" if isinstance(member, property) else f"model.{name}({parameters(member)})")
    wanted |= {f"inferir.{name}({parameters(getattr(inferir, name))})" for name in ("load", "convert")}
    found = re.findall(r"^### `(?:inferir\.)?(Model\(.*\))`$|^### `(.+)`$", page_text("python-api.md"), re.MULTILINE)
    assert {first or second for first, second in found} >= wanted


def parameters(function: Any) -> str:
    words, keyword_only = [], False
    for name, parameter in inspect.signature(function).parameters.items():
        if name == "self":
            continue
        if parameter.kind is parameter.KEYWORD_ONLY and not keyword_only:
            words.append("*")
            keyword_only = True
        prefix = {parameter.VAR_KEYWORD: "**", parameter.VAR_POSITIONAL: "*"}.get(parameter.kind, "")
        default = "" if parameter.default is parameter.empty else f"={parameter.default!r}"
        words.append(f"{prefix}{name}{default}")
    return ", ".join(words)


def test_the_glossary_is_in_order() -> None:
    words = re.findall(r"^\| \*\*(.+?)\*\* \|", page_text("glossary.md"), re.MULTILINE)
    assert words == sorted(words, key=str.casefold)
    assert len(words) == len(set(words))
