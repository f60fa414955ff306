"""Tables that binding a model makes, kept in its file so that loading does not make them again: where they are.

A table is a tensor `prepared/<output of its operator>/<kind>/<field>` that no operator names, and the metadata key
`prepared` has the version of each kind's layout. So a reader that does not know the key, or the version, sees tensors
that nobody asks for, and makes its own. `operators/_prepared.py` says what is in them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from inferir.formats.spec import ModelSpec, TensorSpec

__all__ = [
    "KEY",
    "is_prepared",
    "nbytes_of",
    "tables_of",
    "tensor_name",
    "versions_of",
    "with_tables",
    "without_tables",
]

#: Of the metadata, and the first part of tensors' names.
KEY = "prepared"


def tensor_name(output: str, kind: str, field: str) -> str:
    """Name of a table of the operator that writes the value `output`."""
    return f"{KEY}/{output}/{kind}/{field}"


def is_prepared(name: str) -> bool:
    """Whether a tensor of this name is a table."""
    return name.startswith(f"{KEY}/")


def versions_of(spec: ModelSpec) -> dict[str, int]:
    """Kind of tables -> version of its layout; empty where the metadata say nothing that could be understood."""
    found = spec.extra.get(KEY)
    return {kind: v for kind, v in found.items() if type(v) is int} if isinstance(found, Mapping) else {}


def tables_of(spec: ModelSpec) -> dict[str, TensorSpec]:
    """All tables. A tensor that an operator names is none, whatever it is called."""
    named = {name for operator in spec.operators for name in operator.tensors.values()}
    return {name: tensor for name, tensor in spec.tensors.items() if is_prepared(name) and name not in named}


def nbytes_of(spec: ModelSpec) -> int:
    """Bytes of all tables."""
    return sum(memoryview(tensor.data).nbytes for tensor in tables_of(spec).values())


def without_tables(spec: ModelSpec) -> ModelSpec:
    """The model as it was imported."""
    tables = tables_of(spec)
    tensors = {name: tensor for name, tensor in spec.tensors.items() if name not in tables}
    if KEY not in spec.extra and len(tensors) == len(spec.tensors):
        return spec
    return replace(spec, tensors=tensors, extra={key: value for key, value in spec.extra.items() if key != KEY})


def with_tables(spec: ModelSpec, tables: Mapping[str, TensorSpec], versions: Mapping[str, int]) -> ModelSpec:
    """The model with these tables, behind its other tensors, in place of those it had."""
    plain = without_tables(spec)
    if not tables:
        return plain
    extra = {**plain.extra, KEY: dict(sorted(versions.items()))}
    return replace(plain, tensors={**plain.tensors, **tables}, extra=extra)
