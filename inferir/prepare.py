"""Tables for a model's file: what binding it makes, so that loading need not (`formats/prepared.py`).

Compiled kernels make them, whichever are there: the NumPy ones make tables that give the same answers, more slowly. So
the same model gives the same tables, or, where nothing else is installed, none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from inferir import kernels
from inferir.errors import BackendError
from inferir.formats.prepared import tables_of, tensor_name, versions_of, with_tables, without_tables
from inferir.formats.spec import ModelSpec, TensorSpec
from inferir.operators import LAYOUTS, Kept, Layout
from inferir.plan import bind
from inferir.program.arrays import NUMPY, Array

__all__ = ["FEWEST_NODES", "differing", "prepare"]

#: Tables of fewer nodes are not kept: a file would be twice as large, for a millisecond or two.
FEWEST_NODES = 256

_NAMES = {dtype.newbyteorder("="): name for name, dtype in NUMPY.items()}


def prepare(spec: ModelSpec, *, fewest_nodes: int = FEWEST_NODES) -> ModelSpec:
    """The model with the tables that binding it makes, of operators with at least so many nodes, in place of those it
    had. Raises what binding raises."""
    plain = without_tables(spec)
    if kernels.available()[0] == "reference":
        return plain
    tables: dict[str, TensorSpec] = {}
    versions: dict[str, int] = {}
    for layout, output, size, pack in _made(plain):
        if size >= fewest_nodes:
            versions[layout.kind] = layout.version
            tables |= _tensors(layout, output, pack)
    return with_tables(plain, tables, versions)


def differing(spec: ModelSpec) -> list[str]:
    """Names of the tables in a file that are not, byte by byte, what its nodes make. Tables of a version that this
    build does not know are not looked at.

    Raises BackendError where there are tables and no compiled kernels to make them with; and what binding raises.
    """
    stored = tables_of(spec)
    if not stored:
        return []
    if kernels.available()[0] == "reference":
        raise BackendError("tables are compared with what compiled kernels make, and there are none")
    known = versions_of(spec)
    right: dict[str, TensorSpec] = {}
    for layout, output, _, pack in _made(without_tables(spec)):
        if known.get(layout.kind) == layout.version:
            right |= _tensors(layout, output, pack)
    understood = {layout.kind for layout in LAYOUTS if known.get(layout.kind) == layout.version}
    return [
        name
        for name, tensor in stored.items()
        if name.split("/")[-2] in understood and not _same(tensor, right.get(name))
    ]


def _made(plain: ModelSpec) -> list[Kept]:
    draft, _ = bind(plain, kernels.select(kernels.available()[0]), "f64", set())
    return draft.kept


def _same(tensor: TensorSpec, right: TensorSpec | None) -> bool:
    if right is None or (tensor.dtype, tensor.shape) != (right.dtype, right.shape):
        return False
    return memoryview(tensor.data).cast("B") == right.data


def _tensors(layout: Layout, output: str, pack: Callable[[], Mapping[str, Array]]) -> dict[str, TensorSpec]:
    named = {tensor_name(output, layout.kind, field): array for field, array in pack().items()}
    return {name: _tensor(name, array) for name, array in named.items()}


def _tensor(name: str, array: Array) -> TensorSpec:
    array = np.ascontiguousarray(array, NUMPY[_NAMES[array.dtype]])
    data = array.reshape(-1).view(np.uint8).data if array.size else memoryview(b"")
    return TensorSpec(name, _NAMES[array.dtype], array.shape, data)
