"""The table of kernels and what stands behind it: bodies in both backends, arguments, dimensions, constants."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
from collections import Counter
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import inferir.kernels
from inferir.kernels import signatures
from inferir.kernels.signatures import KERNELS
from tests.kernels.twins import DTYPES, INTERPRETED

FAMILIES = sorted({signature.family for signature in KERNELS.values()})
BODIES = sorted({(signature.family, signature.body) for signature in KERNELS.values()})
JIT = Path(inferir.kernels.__file__).parent / "jit"

LINE = re.compile(r"[a-z][a-z0-9_]*: \w+ \w+(\[\w+(,\w+)*\])?(, \w+ \w+(\[\w+(,\w+)*\])?)*")


def module(backend: str, family: str) -> ModuleType:
    return importlib.import_module(f"inferir.kernels.{backend}.{family}")


def test_every_line_is_read_in_full() -> None:
    """The parser finds arguments in a line; what it does not find it does not miss. So the lines are checked whole."""
    lines = [" ".join(line.split()) for text in signatures._FAMILIES.values() for line in text.splitlines()]
    lines = [line for line in lines if line]
    for line in lines:
        assert LINE.fullmatch(line), line
    names = [line.partition(":")[0] for line in lines]
    assert not [name for name, count in Counter(names).items() if count > 1]
    assert sorted(names) == sorted(body for _, body in BODIES)
    arguments = {line.partition(":")[0]: line.count(" ") // 2 for line in lines}
    assert {s.body: len(s.arguments) for s in KERNELS.values()} == arguments


@pytest.mark.parametrize("name", KERNELS)
def test_arguments(name: str) -> None:
    arguments = KERNELS[name].arguments
    assert len({argument.name for argument in arguments}) == len(arguments)
    for argument in arguments:
        assert argument.dtype in DTYPES
        assert argument.dims or argument.dtype in ("i64", "f64"), "numbers are of the widest type"
        assert all(re.fullmatch(r"[a-z]|\d+", letter) for letter in argument.dims)
    assert arguments[-1].name == "out"
    assert arguments[-1].dims


def test_dimensions_mean_one_thing() -> None:
    """n is the rows and comes first, in what comes out as in what goes in."""
    for signature in KERNELS.values():
        *read, out = signature.arguments
        assert out.dims[0] in "n12", signature.name
        assert ("n" in out.dims) == any("n" in argument.dims for argument in read) or signature.name.startswith("check")
        for argument in signature.arguments:
            assert "n" not in argument.dims[1:], f"{signature.name}: rows of {argument.name} are not first"


def parameters(function: Any) -> list[str]:
    return list(inspect.signature(getattr(function, "py_func", function)).parameters)


@pytest.mark.parametrize(("family", "body"), BODIES)
@pytest.mark.parametrize("backend", ["jit", "reference"])
def test_body_takes_the_arguments_of_its_line(backend: str, family: str, body: str) -> None:
    line = next(signature for signature in KERNELS.values() if signature.body == body)
    function = getattr(module(backend, family), body)
    assert parameters(function) == [argument.name for argument in line.arguments]
    assert inspect.getdoc(getattr(function, "py_func", function))


def kernels_of(path: Path) -> list[str]:
    """Functions of a jit file that are marked as kernels."""
    functions = [node for node in ast.parse(path.read_text()).body if isinstance(node, ast.FunctionDef)]
    return [f.name for f in functions if {ast.unparse(d) for d in f.decorator_list} & {"kernel", "kernel_reassociated"}]


def test_every_kernel_has_one_line() -> None:
    marked = [(path.stem, name) for path in sorted(JIT.glob("*.py")) for name in kernels_of(path)]
    assert sorted(marked) == BODIES


def constants(module: ModuleType) -> dict[str, Any]:
    return {name: value for name, value in vars(module).items() if name.isupper() and not name.startswith("_")}


@pytest.mark.parametrize("family", [*FAMILIES, "_codes"])
def test_constants_agree(family: str) -> None:
    """Each backend states them for itself."""
    jit, reference = (constants(module(backend, family)) for backend in ("jit", "reference"))
    assert {name: jit.get(name) for name in reference} == reference


@pytest.mark.parametrize("name", KERNELS)
def test_every_kernel_compiles(name: str) -> None:
    kernel = inferir.kernels.select("jit")[name]
    if not INTERPRETED:
        arguments = [np.zeros((1,) * len(a.dims), DTYPES[a.dtype]) if a.dims else 1 for a in KERNELS[name].arguments]
        with pytest.raises(TypeError):
            kernel(*arguments[1:])  # machine code, not a dispatcher that would compile for other types
