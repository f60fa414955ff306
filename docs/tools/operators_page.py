"""docs/reference/operators.md: every operator, what it reads of the file, and what it does.

Attributes and tensors are those that the operator's function asks its binder for, found in its syntax tree and in those
of the helpers that it hands the binder to.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from inferir import operators
from inferir.agreement import LEVELS

_INTRODUCTION = """\
# Operators

A model in an `.apr` file is a list of operators. Each reads one or more values, which are matrices with one row per
input row, and writes one. The value `input` is the rows; `prediction`, `probabilities`, `raw` and `transformed` are
what a caller can ask for. How an operator is written in the file is in [apr-format.md](apr-format.md); which kernels it
calls does not matter to the file.

This page is made from `inferir/operators/` by `docs/tools/build.py`.

- **Attributes** are numbers and words. `k: int` has to be there; `p: float = 2.0` has a default; words are listed.
- **Tensors** are arrays, by the part that they play. A tensor without a dtype has that of the operator's width.
- What is in (brackets) may be left out. Brackets that belong together, such as those of a search tree, come together.
- **Contract** is how near an operator's answer is to the source library's: the same bits, or within a bound that is
  given in [numerics](../explanation/numerics.md).
- Every attribute, shape and dtype is checked when the model is loaded, and so is every number that is a position in
  another array. What does not fit is `E001`; an operator that is not on this page is `E004`.
- Values are float32 or float64 matrices, or class positions (int64). Where an operator needs another float width than
  it gets, a cast is put in between.
"""

_TITLES = {
    "preprocess": "Preprocessing",
    "tree": "Forests",
    "linear": "Linear models",
    "projection": "Projections",
    "distance": "Distances and neighbours",
    "naive_bayes": "Naive Bayes",
    "svm": "Support vector machines",
    "activation": "Links and activations",
    "arithmetic": "Arithmetic of graphs",
    "decision": "Decisions and ensembles",
}

_TENSOR_CALLS = ("tensor", "floats", "positions", "begins")


def page() -> str:
    """The page's text."""
    parts = [_INTRODUCTION]
    for family, title in _TITLES.items():
        module = getattr(operators, family)
        parts.append(
            f"## {title}\n\n| operator | what it does | attributes | tensors | contract |\n|---|---|---|---|---|"
        )
        parts.extend(_row(name, bind) for name, bind in module.OPERATORS.items())
        parts.append("")
    return "\n".join(parts).rstrip() + "\n"


def _row(name: str, bind: Callable[..., Any]) -> str:
    attributes: dict[str, str] = {}
    tensors: dict[str, str] = {}
    optional: set[str] = set()
    for found in _asked(bind):
        for asked in found.names:
            if found.method == "has" or found.optional:
                optional.add(asked)
            if found.method == "attribute":
                attributes.setdefault(asked, _attribute(found.call, found.scope))
            elif found.method == "choice":
                attributes.setdefault(asked, _choice(found.call, found.scope))
            elif found.method in _TENSOR_CALLS:
                tensors.setdefault(asked, _dtype(found.method, found.call))
    cells = (
        f"`{name}`",
        " ".join((bind.__doc__ or "").split()).replace("|", "\\|").replace("*", "\\*"),
        _listed(attributes, optional),
        _listed(tensors, optional),
        LEVELS[name],
    )
    return f"| {' | '.join(cells)} |"


def _listed(forms: dict[str, str], optional: set[str]) -> str:
    return ", ".join(f"(`{name}{form}`)" if name in optional else f"`{name}{form}`" for name, form in forms.items())


class _Asked(NamedTuple):
    """A call of a method of the binder with `names`. `optional`: only made if the file has some tensor."""

    method: str
    names: list[str]
    call: ast.Call
    scope: dict[str, Any]
    optional: bool


def _asked(bind: Callable[..., Any], optional: bool = False, seen: frozenset[Any] = frozenset()) -> Iterator[_Asked]:
    """What `bind`, and helpers that get its binder, ask the binder for: in the order of the text."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(bind)))
    scope = bind.__globals__
    loops = {
        node.target.id: [item.value for item in node.iter.elts if isinstance(item, ast.Constant)]
        for node in ast.walk(tree)
        if isinstance(node, ast.For) and isinstance(node.target, ast.Name) and isinstance(node.iter, ast.Tuple)
    }
    guarded = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test).startswith("b.has(")
        for statement in node.body
        for inner in ast.walk(statement)
    }
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    for call in sorted(calls, key=lambda node: (node.lineno, node.col_offset)):
        function, is_optional = call.func, optional or call in guarded
        if isinstance(function, ast.Attribute) and _is_binder(function.value) and call.args:
            yield _Asked(function.attr, _names(call.args[0], loops), call, scope, is_optional)
        elif isinstance(function, ast.Name) and call.args and _is_binder(call.args[0]):
            helper = scope.get(function.id)
            if inspect.isfunction(helper) and helper not in seen:
                yield from _asked(helper, is_optional, seen | {bind})


def _is_binder(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id == "b"


def _names(node: ast.expr, loops: dict[str, list[Any]]) -> list[str]:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return [node.value]
    return loops.get(node.id, []) if isinstance(node, ast.Name) else []


def _attribute(call: ast.Call, scope: dict[str, Any]) -> str:
    kind = ast.unparse(call.args[1])
    return f": {kind}" + (f" = {_plain(call.args[2], scope)}" if len(call.args) > 2 else "")


def _choice(call: ast.Call, scope: dict[str, Any]) -> str:
    words = " or ".join(_value(call.args[1], scope))
    return f": {words}" + (f" = {_plain(call.args[2], scope)}" if len(call.args) > 2 else "")


def _plain(node: ast.expr, scope: dict[str, Any]) -> str:
    value = _value(node, scope)
    return value if isinstance(value, str) else repr(value)


def _value(node: ast.expr, scope: dict[str, Any]) -> Any:
    """A default or a list of words: a literal, a constant of the module, or an expression of both."""
    return eval(compile(ast.Expression(node), "operators", "eval"), scope)  # noqa: S307 - our own source


def _dtype(method: str, call: ast.Call) -> str:
    """' f64', or nothing where it follows the operator's width."""
    if method == "tensor":
        return _word(call.args[1]) if len(call.args) > 1 else ""
    if method == "floats":
        return " f32 or f64"
    keyword = next((keyword.value for keyword in call.keywords if keyword.arg == "dtype"), None)
    return " i64" if keyword is None else _word(keyword)


def _word(node: ast.expr) -> str:
    return f" {node.value}" if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""
