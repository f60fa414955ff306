"""Bodies of /invocations: every form that SageMaker and MLflow document, and what is none of them."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferir.errors import DimensionError, InferirError, InvalidInputError
from inferir.formats.spec import ColumnSpec
from inferir.rows import Columns
from inferir.server.errors import RequestError, UnsupportedMediaError
from inferir.server.protocols.invocations import CSV, JSON, JSON_LINES, decode, encode, media_type

TWO = Columns([ColumnSpec("a"), ColumnSpec("b")])
ONE = Columns([ColumnSpec("a")])
MIXED = Columns([ColumnSpec("a"), ColumnSpec("colour", "category", ("red", "green"))])


def read(document: Any, columns: Columns = TWO) -> list[list[float]]:
    """The rows of a JSON body as numbers."""
    matrix: list[list[float]] = columns.encode(decode(json.dumps(document).encode(), JSON, columns).rows).tolist()
    return matrix


@pytest.mark.parametrize(
    "document",
    [
        {"dataframe_split": {"columns": ["b", "a"], "index": [0, 1], "data": [[2, 1], [4, 3]]}},
        {"dataframe_split": {"data": [[1, 2], [3, 4]]}},
        {"dataframe_records": [{"a": 1, "b": 2}, {"b": 4, "a": 3}]},
        {"instances": [[1, 2], [3, 4]]},
        {"instances": [{"a": 1, "b": 2}, {"a": 3, "b": 4}]},
        {"instances": [{"features": [1, 2]}, {"features": [3, 4]}]},
        {"inputs": {"a": [1, 3], "b": [2, 4]}},
        {"inputs": [[1, 2], [3, 4]]},
        {"inputs": [[1, 2], [3, 4]], "params": {"predict_method": "predict"}, "signature_name": "x"},
        [[1, 2], [3, 4]],
        [{"a": 1, "b": 2}, {"a": 3, "b": 4}],
    ],
)
def test_forms(document: Any) -> None:
    assert read(document) == [[1, 2], [3, 4]]


def test_values_of_one_column_need_no_lists() -> None:
    assert read({"instances": [1, 2]}, ONE) == [[1], [2]]
    assert read({"inputs": {"a": 1}}, ONE) == [[1]]


def test_text_and_missing_values() -> None:
    rows = decode(b'{"instances":[[null,"red"],[2,null]]}', JSON, MIXED).rows
    assert rows == [[None, "red"], [2, None]]


@pytest.mark.parametrize(
    ("document", "says"),
    [
        ({}, "got none"),
        ({"instances": [[1, 2]], "inputs": [[1, 2]]}, "got instances, inputs"),
        ({"instances": 1}, "Expected `array"),
        ({"instances": [[[1]]]}, "$.instances[0][0]"),
        ({"dataframe_split": {"columns": ["a"]}}, "missing required field `data`"),
        ({"dataframe_split": {"columns": ["a", "b"], "data": [[1]]}}, "row 0: expected 2 values, got 1"),
        ({"dataframe_records": [[1, 2]]}, "Expected `object`"),
        ({"inputs": {"a": [1], "b": [1, 2]}}, "columns of one length"),
        ({"inputs": [[1, 2]], "params": {"predict_method": "transform"}}, "predict_method among"),
        ({"inputs": [[1, 2]], "params": {"predict_method": []}}, "predict_method among"),
        ({"instances": [1]}, "expected a table of rows"),
        ({"instances": [{"features": [1]}]}, "expected 2 columns, got 1"),
        ({"dataframe_records": [{"a": 1}]}, "missing column 'b'"),
    ],
)
def test_refused_with_what_was_expected(document: Any, says: str) -> None:
    with pytest.raises((InvalidInputError, DimensionError)) as caught:
        read(document)
    assert says in caught.value.message


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"a,b\n1,2\n3,4\n", "text/csv"),
        (b"b,a\n2,1\n4,3\n", "text/csv; charset=utf-8"),
        (b"1,2\n3,4", "text/csv"),
        (b"\n1,2\r\n3,4\r\n", "text/csv; header=absent"),
        (b"a,b\n1,2\n3,4\n", "text/csv; header=present"),
        (b"\xef\xbb\xbfa,b\n1,2\n3,4\n", "text/csv"),
        (b"1;2\n3;4", "text/csv"),
    ],
)
def test_csv(body: bytes, content_type: str) -> None:
    assert TWO.encode(decode(body, content_type, TWO).rows).tolist() == [[1, 2], [3, 4]]


def test_csv_of_categories() -> None:
    assert decode(b"1.5,red\n,green\n", "text/csv", MIXED).rows[0] == [1.5, "red"]


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "empty body"),
        (b"1,2\n3", "line 2: expected 2 values, got 1"),
        (b"1,x\n", "column 'b': expected a number, got 'x'"),
        (b"x,y\n1,2\n", "missing column"),
        (b'a,b\n"1,2\n', "expected CSV"),
        (b"1,\xff\n", "expected UTF-8 text"),
    ],
)
def test_csv_refused(body: bytes, says: str) -> None:
    with pytest.raises((InvalidInputError, DimensionError)) as caught:
        decode(body, "text/csv", TWO)
    assert says in caught.value.message


def test_json_lines() -> None:
    body = b'[1, 2]\n\n{"b": 4, "a": 3}\n{"features": [5, 6]}\n'
    assert decode(body, "application/jsonlines", TWO).rows == [[1, 2], {"b": 4, "a": 3}, [5, 6]]
    with pytest.raises(InvalidInputError, match="application/jsonlines"):
        decode(b"[1, 2]\n[3,", "application/jsonlines", TWO)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, JSON),
        ("", JSON),
        ("application/json; charset=utf-8", JSON),
        ("*/*", JSON),
        ("Text/CSV", CSV),
        ("text/html, application/x-ndjson;q=0.9", JSON_LINES),
    ],
)
def test_media_types(header: str | None, expected: str) -> None:
    assert media_type(header) == expected


@pytest.mark.parametrize("header", ["application/x-npy", "text", "x" * 10_000])
def test_other_media_types(header: str) -> None:
    with pytest.raises(UnsupportedMediaError, match="expected Content-Type application/json"):
        media_type(header)


def test_answers() -> None:
    assert encode([1, None], JSON) == b'{"predictions":[1,null]}'
    assert encode([float("nan")], JSON) == b'{"predictions":[null]}'
    assert encode(["a", "b,c"], CSV) == b'a\n"b,c"\n'
    assert encode([[0.5, 0.5]], CSV) == b"0.5,0.5\n"
    assert encode(["a", [1, 2]], JSON_LINES) == b'"a"\n[1,2]\n'


@given(st.binary(max_size=200), st.sampled_from(["application/json", "text/csv", "application/jsonlines", "x"]))
def test_any_bytes_are_refused_or_read(body: bytes, content_type: str) -> None:
    with suppress(InferirError, RequestError):
        decode(body, content_type, MIXED)
