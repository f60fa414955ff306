"""Names of prepared tables, and models with and without them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from inferir.formats.prepared import is_prepared, nbytes_of, tensor_name, versions_of, with_tables, without_tables
from inferir.formats.spec import ColumnSpec, ModelSpec, OperatorSpec, TensorSpec


def tensor(name: str, nbytes: int) -> TensorSpec:
    return TensorSpec(name, "u8", (nbytes,), memoryview(bytes(nbytes)))


PLAIN = ModelSpec(
    name="t",
    model_version="1",
    model_type=4,
    task="regression",
    columns=(ColumnSpec("a"),),
    operators=(OperatorSpec("forest", ("input",), "raw", {}, {"w": "w", "own": "prepared/its/own/name"}),),
    tensors={name: tensor(name, 3) for name in ("w", "prepared/its/own/name")},
    extra={"later": 1},
)
NAME = tensor_name("raw", "quantized", "op")


def test_tables_come_and_go() -> None:
    made = with_tables(PLAIN, {NAME: tensor(NAME, 5)}, {"quantized": 3, "a": 1})
    assert list(made.tensors) == ["w", "prepared/its/own/name", NAME]
    assert list(made.extra["prepared"].items()) == [("a", 1), ("quantized", 3)]
    assert made.extra["later"] == 1
    assert versions_of(made) == {"quantized": 3, "a": 1}
    assert without_tables(made) == PLAIN
    assert with_tables(made, {NAME: tensor(NAME, 7)}, {"quantized": 4}).tensors[NAME].shape == (7,)
    assert with_tables(made, {}, {}) == PLAIN


def test_a_tensor_that_an_operator_names_stays() -> None:
    assert without_tables(PLAIN) is PLAIN
    assert is_prepared("prepared/its/own/name")
    assert nbytes_of(PLAIN) == 0


def test_bytes_of_tables() -> None:
    assert nbytes_of(with_tables(PLAIN, {NAME: tensor(NAME, 5)}, {})) == 5


@pytest.mark.parametrize(
    "said", [None, 1, "quantized", [], {"quantized": "1"}, {"quantized": True}, {"quantized": 1.0}]
)
def test_versions_that_are_none(said: object) -> None:
    assert versions_of(replace(PLAIN, extra={"prepared": said})) == {}
