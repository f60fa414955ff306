"""A small model for tests of the file around it."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from inferir.formats.apr import write
from inferir.formats.spec import ColumnSpec, ModelSpec, OperatorSpec, TensorSpec


@pytest.fixture
def spec() -> ModelSpec:
    """1.5 a + 2.5 b, with a second tensor that no operator uses."""
    return ModelSpec(
        name="m",
        model_version="1",
        model_type=1,
        task="regression",
        columns=(ColumnSpec("a"), ColumnSpec("b")),
        operators=(OperatorSpec("linear", ("input",), "prediction", {"scale": 1.0}, {"coefficients": "w"}),),
        tensors={
            "w": TensorSpec("w", "f64", (2,), memoryview(struct.pack("<2d", 1.5, 2.5))),
            "more": TensorSpec("more", "u8", (300,), memoryview(bytes(range(200)) + bytes(100))),
        },
    )


@pytest.fixture
def file(spec: ModelSpec, tmp_path: Path) -> Path:
    path = tmp_path / "model.apr"
    write(spec, path)
    return path
