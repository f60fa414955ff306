"""The table of metadata fields against the dataclasses it fills. Wrong values are in tests/data/hostile."""

from __future__ import annotations

import dataclasses
from datetime import datetime, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferir.errors import InvalidInputError, ModelLoadError
from inferir.formats.apr import layout, metadata
from inferir.formats.spec import ModelSpec

LEAST: dict[str, Any] = {
    "name": "m",
    "model_version": "1",
    "task": "regression",
    "columns": [],
    "operators": [],
    "tensors": [],
}


def test_fields_are_those_of_a_model() -> None:
    fields = {field.name: field for field in dataclasses.fields(ModelSpec)}
    assert {field.key for field in metadata.FIELDS} == set(fields) - {"model_type", "extra"}
    for key, _, required in metadata.FIELDS:
        by_dataclass = fields[key].default is dataclasses.MISSING and fields[key].default_factory is dataclasses.MISSING
        assert required == by_dataclass, key


def test_keys_are_in_the_order_of_the_format() -> None:
    assert [field.key for field in metadata.FIELDS] == [
        *("name", "model_version", "created", "producer", "framework", "task", "columns", "classes"),
        *("operators", "tensors", "training", "metrics", "baseline", "card"),
    ]


@pytest.mark.parametrize("key", LEAST)
def test_required_keys(key: str) -> None:
    metadata.check(LEAST)
    with pytest.raises(ModelLoadError, match=f"expected the key '{key}', got none"):
        metadata.check({name: value for name, value in LEAST.items() if name != key})


@pytest.mark.parametrize("key", [field.key for field in metadata.FIELDS])
@pytest.mark.parametrize("value", [None, 1, 1.5, True, b"x", [None], {"x": object()}, {"": [[]]}])
def test_every_field_refuses_other_kinds(key: str, value: object) -> None:
    free = key in {"training", "metrics", "baseline", "card"}
    if free and isinstance(value, dict):
        assert metadata.check(LEAST | {key: value}).fields[key] == value
        return
    with pytest.raises(ModelLoadError, match=rf"metadata\.{key}"):
        metadata.check(LEAST | {key: value})


def test_unknown_keys_are_kept() -> None:
    checked = metadata.check(LEAST | {"later": [1, 2], "also": {"a": None}})
    assert checked.fields["extra"] == {"later": [1, 2], "also": {"a": None}}


def test_extra_may_not_replace_a_field() -> None:
    spec = ModelSpec("m", "1", 1, "regression", (), (), {}, extra={"task": "ranking", "x": 1})
    with pytest.raises(InvalidInputError, match="got task"):
        metadata.from_spec(spec, ())


def test_classes_of_several_outputs() -> None:
    checked = metadata.check(LEAST | {"classes": [["a", "b"], [0, 1, -(2**63), 2**63 - 1]]})
    assert checked.fields["classes"] == (("a", "b"), (0, 1, -(2**63), 2**63 - 1))


def test_text_and_number_of_one_look_are_two_classes() -> None:
    assert metadata.check(LEAST | {"classes": [1, "1"]}).fields["classes"] == (1, "1")


def test_number_of_tensors_is_limited() -> None:
    with pytest.raises(ModelLoadError, match=f"at most {layout.TENSOR_LIMIT} items, got 1000001"):
        metadata.check(LEAST | {"tensors": [None] * (layout.TENSOR_LIMIT + 1)})


@given(st.tuples(*[st.integers(0, most) for most in (9999, 13, 32, 24, 60, 60)]) | st.just((1900, 2, 29, 0, 0, 0)))
def test_created_is_a_moment_that_datetime_knows(parts: tuple[int, int, int, int, int, int]) -> None:
    text = "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z".format(*parts)
    try:
        datetime(*parts, tzinfo=timezone.utc)
    except ValueError:
        with pytest.raises(ModelLoadError, match=r"metadata\.created"):
            metadata.check(LEAST | {"created": text})
    else:
        assert metadata.check(LEAST | {"created": text}).fields["created"] == text


@pytest.mark.parametrize(
    "text",
    [
        "2026-01-31T12:00:00+00:00",
        "2026-01-31T12:00:00.5Z",
        "2026-01-31T12:00:00Z ",
        "2026-01-31 12:00:00Z",
        "2026-01-31",
        "2\u0660\u0662\u0666-01-31T12:00:00Z",  # digits that int() would take
        "-026-01-31T12:00:00Z",
        "now",
        "Z",
    ],
)
def test_created_refuses(text: str) -> None:
    with pytest.raises(ModelLoadError, match=r"metadata\.created"):
        metadata.check(LEAST | {"created": text})
