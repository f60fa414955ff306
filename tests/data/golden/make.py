"""The models of the golden files, and their bytes: `python tests/data/golden/make.py` writes them and SHA256SUMS.

Run it for a new golden file only. An existing one never changes: a version of Inferir that cannot read it, or writes
other bytes for its model, has broken the format.
"""

from __future__ import annotations

import hashlib
import struct
from pathlib import Path

from inferir.formats.apr import to_bytes
from inferir.formats.spec import DTYPES, ColumnSpec, ModelSpec, OperatorSpec, TensorSpec

DIRECTORY = Path(__file__).parent

#: RFC 8032, section 7.1, TEST 1: a key that everyone knows, to sign `signed.apr`.
PRIVATE_KEY = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
PUBLIC_KEY = bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")

FORMATS = {"u8": "B", "u16": "H", "i32": "i", "u32": "I", "i64": "q", "f32": "f", "f64": "d"}


def tensor(name: str, dtype: str, shape: tuple[int, ...], *values: float) -> TensorSpec:
    return TensorSpec(name, dtype, shape, memoryview(struct.pack(f"<{len(values)}{FORMATS[dtype]}", *values)))


def linear() -> ModelSpec:
    """The smallest model: 1.5 a + 2.5 b."""
    return ModelSpec(
        name="t",
        model_version="1",
        model_type=1,
        task="regression",
        columns=(ColumnSpec("a"), ColumnSpec("b")),
        operators=(OperatorSpec("linear", ("input",), "prediction", {}, {"coefficients": "w"}),),
        tensors={"w": tensor("w", "f64", (2,), 1.5, 2.5)},
    )


def forest() -> ModelSpec:
    """Every field, every dtype, a scalar and an empty tensor, every kind of metadata value."""
    tensors = [
        tensor("split_index", "i32", (3,), 1, -1, -1),
        tensor("threshold", "f32", (3,), 0.5, 0.0, 0.0),
        tensor("default_left", "u8", (3,), 1, 0, 0),
        tensor("left", "u16", (3,), 1, 0, 0),
        tensor("right", "u32", (3,), 2, 0, 0),
        tensor("leaf_value", "f64", (3, 2), 0.0, 0.0, 0.25, 0.75, 1.0, 0.0),
        tensor("base_score", "f64", (), 0.5),
        tensor("category_bits", "i64", (0, 2)),
        tensor("tree_start", "i64", (1,), 0),
    ]
    assert {one.dtype for one in tensors} == set(DTYPES)
    return ModelSpec(
        name="forêt",
        model_version="2026.1",
        model_type=4,
        task="classification",
        columns=(
            ColumnSpec("colour", "category", ("red", "grün", "蓝")),
            ColumnSpec("size"),
            ColumnSpec("note", "text"),
        ),
        classes=("no", "yes"),
        operators=(
            OperatorSpec("impute", ("input",), "imputed", {"strategy": "mean", "values": [0.0, 1e300, -0.0]}, {}),
            OperatorSpec("forest", ("imputed",), "raw", {"trees": 1}, {one.name: one.name for one in tensors}),
            OperatorSpec("argmax", ("raw",), "prediction"),
        ),
        tensors={one.name: one for one in tensors},
        framework={"name": "scikit-learn", "version": "1.9.0"},
        created="2026-01-31T23:59:59Z",
        producer="inferir 0.1.0",
        training={"rows": 2**32, "seed": -(2**63), "weights": None, "digest": b"\x00\xff"},
        metrics={"accuracy": 0.96875, "log_loss": float("inf")},
        baseline={"size": {"mean": 1.5, "bins": [[0, 1], [1, 2**64 - 1]]}},
        card={"intended_use": "tests", "public": True, "reviewed": False},
        extra={"later": [1, {"deep": []}], "also": -33},
    )


MODELS = {"forest.apr": (forest, None), "linear.apr": (linear, None), "signed.apr": (linear, PRIVATE_KEY)}


def files() -> dict[str, bytes]:
    """File name -> bytes, SHA256SUMS included."""
    made = {name: to_bytes(model(), private_key=key) for name, (model, key) in MODELS.items()}
    sums = "".join(f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in made.items())
    return made | {"SHA256SUMS": sums.encode()}


if __name__ == "__main__":
    for name, data in files().items():
        (DIRECTORY / name).write_bytes(data)
