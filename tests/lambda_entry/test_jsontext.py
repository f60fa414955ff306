"""JSON through the C scanner and encoder, against the json package."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferir.lambda_entry.jsontext import dumps, loads

values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text()),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(), inner, max_size=4)),
    max_leaves=20,
)


@given(values)
def test_what_is_written_is_what_json_writes(value: Any) -> None:
    assert dumps(value) == json.dumps(value)
    assert loads(dumps(value)) == value
    assert loads(" \n" + json.dumps(value, ensure_ascii=False, indent=1) + "\t") == value


@given(st.text(max_size=20))
def test_what_json_refuses_is_refused(text: str) -> None:
    try:
        expected = json.loads(text, parse_constant=lambda name: 1 / 0)
    except (ValueError, ZeroDivisionError):
        with pytest.raises(ValueError):  # noqa: PT011 - the words are Python's
            loads(text)
    else:
        assert loads(text) == expected


@pytest.mark.parametrize("text", ["NaN", "[Infinity]", '{"a": -Infinity}', "", "  ", "1 2", "[" * 100_000, b"\xff"])
def test_what_is_no_json(text: str | bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        loads(text)


@pytest.mark.parametrize("value", [math.nan, math.inf, [1, -math.inf], {"a": math.nan}])
def test_numbers_that_json_has_not_are_not_written(value: Any) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        dumps(value)


def test_values_that_json_has_not() -> None:
    with pytest.raises(TypeError, match="expected a value that JSON has, got set"):
        dumps([{1}])
