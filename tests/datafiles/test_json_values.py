"""JSON and JSON Lines, against `json.loads` of the whole text."""

from __future__ import annotations

import io
import json
import math
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from inferir.datafiles import json_values, open_rows, open_writer
from inferir.datafiles.json_values import _Scanner
from inferir.errors import InvalidInputError
from inferir.formats.spec import ColumnSpec
from inferir.rows import Columns

TWO = (ColumnSpec("a"), ColumnSpec("b", "category", ("x", "grün")))

same_folder = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])

values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=6)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=3), inner, max_size=3)),
    max_leaves=6,
)
rows = st.lists(
    st.one_of(st.lists(values, max_size=3), st.dictionaries(st.text(max_size=3), values, max_size=3)), max_size=8
)


def read(path: Path, text: str | bytes, **options: Any) -> list[Any]:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with open_rows(path, TWO, **options) as reader:
        batches = list(reader)
    assert all(batches)
    return [row for batch in batches for row in batch]


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows, st.sampled_from([None, 2]), st.integers(1, 7), st.booleans())
def test_any_array_read_in_pieces_of_any_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: list[Any], indent: int | None, chunk: int, ascii_only: bool
) -> None:
    monkeypatch.setattr(json_values, "_CHUNK", chunk)
    text = json.dumps(rows, indent=indent, ensure_ascii=ascii_only)
    assert read(tmp_path / "x.json", text.encode("utf-8", "replace"), batch_rows=3) == json.loads(
        text.encode("utf-8", "replace")
    )


@same_folder
@given(rows.filter(bool), st.sampled_from(["\n", "\r\n", "\n\n", "\n  \n"]), st.integers(1, 4))
def test_any_lines(tmp_path: Path, rows: list[Any], end: str, batch_rows: int) -> None:
    text = end.join(map(json.dumps, rows))
    assert read(tmp_path / "x.jsonl", text, batch_rows=batch_rows) == json.loads(json.dumps(rows))


@pytest.mark.parametrize("text", ["[]", " [ ] \n", "\ufeff[]"])
def test_no_rows(tmp_path: Path, text: str) -> None:
    assert read(tmp_path / "x.json", text) == []


def test_rows_go_into_the_model(tmp_path: Path) -> None:
    text = '[{"b": "grün", "a": 1.5, "c": []}, {"a": null, "b": null}, {"a": NaN, "b": "y"}, {"a": -Infinity, "b": 2}]'
    batch = read(tmp_path / "x.json", text)
    expected = [[1.5, 1], [math.nan, math.nan], [math.nan, -1], [-math.inf, -1]]
    np.testing.assert_array_equal(Columns(TWO).encode(batch), expected)
    batch = read(tmp_path / "x.jsonl", '[1.5, "x"]\n[2, "grün"]\n')
    np.testing.assert_array_equal(Columns(TWO).encode(batch), [[1.5, 0], [2, 1]])


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{"a": 1}', r"line 1: expected an array of rows, got '\{'"),
        ("[1, 2]", "line 1: expected an object or an array for a row, got 1"),
        ('[[1],\n[2],\n"x"]', 'line 3: expected an object or an array for a row, got "x"'),
        ("[[1],\n[2] [3]]", r"line 2: expected ',' or '\]', got '\['"),
        ("[[1],\n[2]\n", r"line 3: expected ',' or '\]', got 'the end'"),
        ("[[1],\n", "line 2: expected JSON: Expecting value"),
        ("[[1],\n]", "line 2: expected JSON: Expecting value"),
        ("[[1],\n[2,,3]]", "line 2: expected JSON: "),
        ("[[1],\n[2", "line 2: expected JSON: "),
        ('[[1],\n["abc', "line 2: expected JSON: Unterminated string"),
        ("[[1]]\n x", "line 2: expected the end of the file, got 'x'"),
        ("[[1]][[2]]", r"line 1: expected the end of the file, got '\['"),
        ("[" + "[" * 100_000, "line 1: expected JSON that can be read"),
        ("[[" + "1" * 5000 + "]]", "line 1: expected JSON that can be read: .*4300"),
    ],
)
def test_what_is_not_an_array_of_rows(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(InvalidInputError, match=told):
        read(tmp_path / "x.json", text)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('[1]\n\n{"a": 1', r"line 3, column 8: expected JSON: "),
        ("[1]\n[1] [2]", "line 2, column 5: expected JSON: Extra data"),
        ("[1]\n5\n", "line 2: expected an object or an array for a row, got 5"),
        ("[" * 100_000, "line 1: expected JSON that can be read"),
    ],
)
def test_what_is_not_a_row_a_line(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(InvalidInputError, match=told):
        read(tmp_path / "x.jsonl", text)


def test_a_mistake_is_found_before_the_rest_is_read(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text('[{"a": 1},\n{"a": oops},' + '{"a": 1},\n' * 500_000)
    with open_rows(path, TWO) as reader:
        with pytest.raises(InvalidInputError, match="line 2: expected JSON: Expecting value"):
            next(iter(reader))
        assert reader.bytes_done < 200_000


def test_what_is_read_is_let_go() -> None:
    stream = io.StringIO("[" + "[1, 2],\n" * 100_000 + "[3]]")
    scanner = _Scanner(stream.read, "x")
    scanner.peek()
    scanner.skip()
    longest = 0
    for _ in range(100_000):
        assert scanner.value() == [1, 2]
        assert scanner.peek() == ","
        scanner.skip()
        scanner.peek()
        longest = max(longest, len(scanner._text))
    assert longest <= 2 * 64 * 1024
    assert scanner.place() == "x, line 100001"


COLUMNS: dict[str, Any] = {
    "label": ["a", 'b "c"', None],
    "100%": np.array([1, -2, 3]),
    "p": np.array([0.1, math.nan, math.inf]),
    "q": np.array([0.1, 1 / 3, -math.inf], np.float32),
    "flag": [True, False, True],
}
ROWS = [
    {"label": "a", "100%": 1, "p": 0.1, "q": 0.1, "flag": True},
    {"label": 'b "c"', "100%": -2, "p": None, "q": 0.33333334, "flag": False},
    {"label": None, "100%": 3, "p": math.inf, "q": -math.inf, "flag": True},
]


@pytest.mark.parametrize("suffix", ["json", "jsonl"])
@pytest.mark.parametrize("cuts", [[0, 3], [0, 1, 1, 3], [0, 0, 2, 3, 3]])
def test_what_is_written(tmp_path: Path, suffix: str, cuts: list[int]) -> None:
    path = tmp_path / f"x.{suffix}"
    with open_writer(path, list(COLUMNS)) as writer:
        for low, high in pairwise(cuts):
            writer.write({name: column[low:high] for name, column in COLUMNS.items()})
    text = path.read_text()
    read_back = json.loads(text) if suffix == "json" else [json.loads(line) for line in text.splitlines()]
    assert read_back == ROWS
    assert "Infinity" not in text
    assert "NaN" not in text
    assert text.endswith("\n")


def test_nothing_written(tmp_path: Path) -> None:
    for suffix, text in (("json", []), ("jsonl", None)):
        path = tmp_path / f"x.{suffix}"
        with open_writer(path, ["a"]):
            pass
        assert (json.loads(path.read_text()) if suffix == "json" else path.read_text() or None) == text
