"""What is in an `.apr` file, as a dict that JSON can hold. The same checks as `reader.read`, in the same order; only a
signature is not verified unless keys are given, so that a file can be looked at by someone who has none.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from inferir.formats.apr import layout, reader
from inferir.formats.apr.keys import KEY_ID_NBYTES
from inferir.formats.apr.source import Key, Source, open_source
from inferir.formats.prepared import nbytes_of
from inferir.formats.spec import ColumnSpec, ModelSpec, OperatorSpec

__all__ = ["describe"]


def describe(source: Source, *, trusted_keys: Iterable[Key] | None = None) -> dict[str, Any]:
    """Header, metadata, operators and tensors of a file, without the tensors' values.

    Offsets are from the start of the file, sizes in bytes, CRC and key id in hex; `prepared_bytes` are those of the
    tables that `convert` made, so that loading need not. `signature` is None for an unsigned file; otherwise `verified`
    says whether `trusted_keys` were given (and then the signature is right: a wrong one is an error). Bytes appear in
    hex, numbers that JSON lacks as "NaN", "Infinity", "-Infinity".

    Raises as `reader.read`, without SignatureError when no keys are given.
    """
    view = open_source(source)
    version = reader.version_of(view)
    header = reader.read_header(view)
    crc = reader.check_crc(view)
    if trusted_keys is not None:
        reader.check_signature(view, header, trusted_keys)
    checked = reader.read_metadata(view, header)
    model = reader.read_model(view, header, checked)
    signer = reader.signature_block(view, header)[:KEY_ID_NBYTES]
    return {
        "file": {
            "format_version": version,
            "model_type": {"number": header.model_type, "name": layout.MODEL_TYPES[header.model_type]},
            "bytes": len(view),
            "metadata_bytes": header.metadata_nbytes,
            "payload_bytes": header.payload_nbytes,
            "prepared_bytes": nbytes_of(model),
            "crc32": f"{crc:08x}",
        },
        "signature": {"key_id": signer.hex(), "verified": trusted_keys is not None} if signer else None,
        "model": _model(model),
        "operators": [_operator(operator) for operator in model.operators],
        "tensors": [
            {
                "name": tensor.name,
                "dtype": tensor.dtype,
                "shape": list(tensor.shape),
                "offset": header.payload_offset + tensor.offset,
                "bytes": tensor.nbytes,
            }
            for tensor in checked.tensors
        ],
    }


def _model(model: ModelSpec) -> dict[str, Any]:
    plain = ("name", "model_version", "created", "producer", "framework", "task", "classes")
    free = ("training", "metrics", "baseline", "card", "extra")
    return (
        {key: _json(getattr(model, key)) for key in plain}
        | {"columns": [_column(column) for column in model.columns]}
        | {key: _json(getattr(model, key)) for key in free}
    )


def _column(column: ColumnSpec) -> dict[str, Any]:
    fields: dict[str, Any] = {"name": column.name, "kind": column.kind}
    return fields if column.categories is None else fields | {"categories": list(column.categories)}


def _operator(operator: OperatorSpec) -> dict[str, Any]:
    return {
        "op": operator.op,
        "inputs": list(operator.inputs),
        "output": operator.output,
        "attributes": _json(operator.attributes),
        "tensors": dict(operator.tensors),
    }


def _json(value: object) -> Any:
    """Metadata values in what JSON has."""
    if isinstance(value, Mapping):
        return {key: _json(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_json(item) for item in value]
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value
