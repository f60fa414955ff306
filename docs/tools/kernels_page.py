"""docs/reference/kernels.md: every line of `signatures.KERNELS` with the docstring of its body."""

from __future__ import annotations

import ast
import inspect
import textwrap
from importlib import import_module
from itertools import groupby

from inferir.kernels.signatures import ABI_VERSION, KERNELS, Argument, Signature

_INTRODUCTION = f"""\
# Kernels

A kernel is one function over arrays: the only place where a model's arithmetic is done. Each exists twice, as compiled
Numba code (`inferir/kernels/jit/`) and as plain NumPy (`inferir/kernels/reference/`), under the same name and with the
same arguments. Operators call them ([operators.md](operators.md)); programs do not, they call
[`Model`](python-api.md).

This page is made from `inferir/kernels/signatures.py` and the docstrings by `docs/tools/build.py`. The version of the
table is {ABI_VERSION}: it goes up when a line that is there already changes.

## How to read it

```text
scale_f32, scale_f64                                     two kernels from one body
  x f32|f64[n,d], mean f64[d], scale f64[d]              read: f32 in the first kernel, f64 in the second
  out f32|f64[n,d]                                       written
  out = (x - mean) / scale by column.                    what it computes
```

Arrays are C-contiguous. Dimensions with the same letter have the same length: `n` rows, `d` input columns, `k` output
columns, `m` tree nodes or stored rows, `t` trees, `l` leaves, `b` rows of a scratch block. No kernel allocates memory,
raises an error, or returns a value. A kernel trusts its arguments: what comes from a file is checked before
([architecture](../explanation/architecture.md)).

Kernels marked *any order* may add up a sum in another order than it is written, for vector instructions; a tolerance
holds for them. All others give the same bits everywhere ([numerics](../explanation/numerics.md)).
"""

#: Family -> heading.
_TITLES = {
    "tree": "Forests",
    "tree_packed": "Packed forests",
    "tree_packer": "Arrays of packed forests",
    "tree_quantized": "Quantised forests",
    "tree_quantizer": "Tables of quantised forests",
    "tree_symmetric": "Quantised symmetric trees",
    "linear": "Linear models",
    "projection": "Projections",
    "activation": "Links and activations",
    "arithmetic": "Arithmetic of graphs",
    "decision": "Decisions and ensembles",
    "distance": "Distances and neighbours",
    "naive_bayes": "Naive Bayes",
    "svm": "Support vector machines",
    "preprocess": "Preprocessing",
    "shap": "Shapley values",
}

#: Family -> the file whose rules its own build on.
_FOUNDATIONS = {"tree_quantized": "_codes"}

_WIDTH = 116


def page() -> str:
    """The page's text."""
    parts = [_INTRODUCTION]
    for family, signatures in groupby(KERNELS.values(), lambda signature: signature.family):
        module = import_module(f"inferir.kernels.jit.{family}")
        reassociated = _reassociated(inspect.getsource(module))
        entries = [
            _entry(list(variants), _docstring(getattr(module, body)), body in reassociated)
            for body, variants in groupby(signatures, lambda signature: signature.body)
        ]
        rules = inspect.cleandoc(module.__doc__ or "")
        if foundation := _FOUNDATIONS.get(family):
            rules += "\n\n" + inspect.cleandoc(import_module(f"inferir.kernels.jit.{foundation}").__doc__ or "")
        parts.append(f"## {_TITLES[family]}\n\n```text\n{rules}\n```\n\n```text\n" + "\n\n".join(entries) + "\n```\n")
    return "\n".join(parts)


def _entry(variants: list[Signature], docstring: str, any_order: bool) -> str:
    names = ", ".join(signature.name for signature in variants) + ("    (any order)" if any_order else "")
    arguments = list(zip(*(signature.arguments for signature in variants), strict=True))
    last_read = max(i for i, same in enumerate(arguments) if not _written(same[0]))
    lines = [
        _wrapped(", ".join(map(_argument, arguments[: last_read + 1]))),
        _wrapped(", ".join(map(_argument, arguments[last_read + 1 :]))),
        textwrap.indent(docstring, "  "),
    ]
    return "\n".join([names, *lines])


def _written(argument: Argument) -> bool:
    """Outputs and scratch come last; all of these names are one or the other, and no other is."""
    return argument.name in _WRITTEN


#: Arguments that kernels write: their answers, and arrays to scribble on.
_WRITTEN = frozenset(
    {"out", "index", "problem", "position", "columns", "order", "similarity", "pairwise", "matrix", "step"}
    | {"waiting", "bound", "slot", "node", "packed_root", "size", "below", "place", "values", "lane", "reached"}
    | {"rank", "codes", "slots", "sums", "n_leaves", "height", "need", "number", "first_leaf", "waiting"}
    | {"left", "agrees", "gain", "carried", "expected", "total", "stack", "side", "contribution"}
)


def _argument(variants: tuple[Argument, ...]) -> str:
    first = variants[0]
    dtypes = [argument.dtype for argument in variants]
    dtype = dtypes[0] if len(set(dtypes)) == 1 else "|".join(dtypes)
    return f"{first.name} {dtype}" + (f"[{','.join(first.dims)}]" if first.dims else "")


def _wrapped(text: str) -> str:
    return textwrap.fill(text, _WIDTH, initial_indent="  ", subsequent_indent="    ", break_long_words=False)


def _docstring(kernel: object) -> str:
    return inspect.cleandoc(getattr(kernel, "__doc__", None) or "")


def _reassociated(source: str) -> set[str]:
    """Functions whose decorator is `kernel_reassociated`."""
    return {
        node.name
        for node in ast.parse(source).body
        if isinstance(node, ast.FunctionDef)
        and any(isinstance(d, ast.Name) and d.id == "kernel_reassociated" for d in node.decorator_list)
    }
