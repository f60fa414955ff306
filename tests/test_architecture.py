"""Laws of the code that no single test of it would notice being broken."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import inferir

PACKAGE = Path(inferir.__file__).parent
JIT, REFERENCE = PACKAGE / "kernels" / "jit", PACKAGE / "kernels" / "reference"

#: Programs that build libraries: they run where Numba and LLVM are, and nothing imports them.
BUILD_STAGES = {PACKAGE / "kernels" / "aot" / name for name in ("abi.py", "abi_cpython.py", "emit.py", "lower.py")}

KERNEL_MARKS = {"kernel", "kernel_reassociated"}
MARKS = KERNEL_MARKS | {"apart", "scalar", "scalar_reassociated"}

#: What a kernel may ask of NumPy: types of numbers, and functions of one number that are machine instructions.
NUMBERS = {
    *("uint64", "int64", "uint32", "int32", "uint8", "float64", "float32", "finfo"),
    *("inf", "nan", "sqrt", "floor", "ceil", "trunc", "copysign"),
}
#: What a kernel may call by a bare name: other kernels' helpers are checked where they are written.
BUILTINS = {"abs", "max", "min", "range"}
#: Methods of numbers; `type` is of an array's dtype.
METHODS = {"view", "type"}
FORBIDDEN = (
    *(ast.List, ast.Dict, ast.Set, ast.ListComp, ast.DictComp, ast.SetComp, ast.GeneratorExp, ast.JoinedStr, ast.Slice),
    *(ast.Raise, ast.Assert, ast.Try, ast.With, ast.Lambda, ast.Yield, ast.YieldFrom, ast.Global, ast.Nonlocal),
    *(ast.Import, ast.ImportFrom, ast.ClassDef, ast.Starred),
)


def trees(folder: Path) -> Iterator[tuple[Path, ast.Module]]:
    for path in sorted(folder.rglob("*.py")):
        yield path, ast.parse(path.read_text(encoding="utf-8"))


def imported(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def marked() -> list[tuple[str, ast.FunctionDef]]:
    """Functions of kernels/jit that are compiled, with the name of their file."""
    return [
        (path.stem, node)
        for path, tree in trees(JIT)
        for node in tree.body
        if isinstance(node, ast.FunctionDef) and {ast.unparse(mark) for mark in node.decorator_list} & MARKS
    ]


COMPILED = marked()
NAMES = [f"{file}.{function.name}" for file, function in COMPILED]
#: Helpers and the private names they are given, such as `_exp, _log = _math.exp, _math.log`.
HELPERS = {function.name for _, function in COMPILED}
#: Files with what kernels call that is written as LLVM IR.
IR = tuple(
    JIT / f"{name}.py"
    for name in (
        *("_simd", "_tiles", "_totals", "_lanes", "_dots", "_bytes", "_leaves", "_levels", "_quadrature", "_ranks"),
        *("_turned", "_walks"),
    )
)


def called(node: ast.AST) -> set[str]:
    """Names of functions that are called somewhere in it."""
    return {each.func.id for each in ast.walk(node) if isinstance(each, ast.Call) and isinstance(each.func, ast.Name)}


def named_as_instructions(bodies: list[list[ast.stmt]]) -> set[str]:
    """Functions that make instructions or are marked as one, and names given to what they make."""
    nodes = [node for body in bodies for node in body]
    functions = [node for node in nodes if isinstance(node, ast.FunctionDef)]
    makers = {node.name for node in functions if "instruction(" in ast.unparse(node)}
    while more := {node.name for node in functions if called(node) & makers} - makers:
        makers |= more
    made = [node for node in nodes if isinstance(node, ast.Assign) and called(node.value) & makers]
    targets = [target for node in made for target in node.targets]
    return makers | {name.id for target in targets for name in ast.walk(target) if isinstance(name, ast.Name)}


INSTRUCTIONS = named_as_instructions([ast.parse(path.read_text(encoding="utf-8")).body for path in IR]) | {
    *("flat", "sweep_four_points", "sweep_eight_points", "sweep_rows"),  # made in other ways
}


@pytest.fixture(params=range(len(COMPILED)), ids=NAMES)
def compiled(request: pytest.FixtureRequest) -> ast.FunctionDef:
    return COMPILED[request.param][1]


def test_one_file_compiles() -> None:
    for path, tree in trees(PACKAGE):
        if path not in (JIT / "_compile.py", *IR):
            assert "njit" not in {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}, path
            at_once = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
            names = imported(ast.Module(at_once, []))
            assert path in BUILD_STAGES or not {name.partition(".")[0] for name in names} & {"numba", "llvmlite"}, path


def test_backends_share_nothing() -> None:
    for path, tree in trees(REFERENCE):
        for name in imported(tree):
            known = name.partition(".")[0] in sys.stdlib_module_names | {"numpy"}
            own = name.startswith(("inferir.kernels.reference", "inferir.kernels.signatures"))
            assert known or own, f"{path.name} imports {name}"
    for path, tree in trees(JIT):
        assert not [name for name in imported(tree) if "reference" in name], path


def test_kernels_say_what_they_compute(compiled: ast.FunctionDef) -> None:
    assert ast.get_docstring(compiled)


def test_kernels_allocate_and_raise_nothing(compiled: ast.FunctionDef) -> None:
    body = ast.Module(compiled.body[1:], [])
    for node in ast.walk(body):
        assert not isinstance(node, FORBIDDEN), f"line {node.lineno}: {ast.unparse(node)}"
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "np":
            assert node.attr in NUMBERS, f"line {node.lineno}: {ast.unparse(node)}"
        if isinstance(node, ast.Call):
            called = node.func
            if isinstance(called, ast.Name):
                allowed = called.id in BUILTINS | HELPERS | INSTRUCTIONS or called.id.removeprefix("_") in HELPERS
            else:
                assert isinstance(called, ast.Attribute)
                allowed = ast.unparse(called.value) == "np" or called.attr in METHODS
            assert allowed, f"line {node.lineno}: {ast.unparse(node)}"


def test_kernels_answer_in_their_arguments(compiled: ast.FunctionDef) -> None:
    marks = {ast.unparse(mark) for mark in compiled.decorator_list}
    if marks & KERNEL_MARKS:
        assert not [node for node in ast.walk(compiled) if isinstance(node, ast.Return) and node.value is not None]
        assert not compiled.args.defaults
        assert not compiled.args.kwonlyargs
