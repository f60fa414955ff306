"""The constants against the format's page, docs/reference/apr-format.md: what one says, the other does."""

from __future__ import annotations

import re
import struct
from pathlib import Path

from inferir.formats.apr import layout, metadata
from inferir.formats.spec import DTYPES

PAGE = (Path(__file__).parents[3] / "docs" / "reference" / "apr-format.md").read_text(encoding="utf-8")


def test_header_is_32_bytes_with_fields_where_the_page_says() -> None:
    assert struct.calcsize(layout.HEADER_FORMAT) == layout.HEADER_NBYTES == 32
    packed = struct.pack(layout.HEADER_FORMAT, layout.MAGIC, layout.VERSION, 2, 3, bytes(7), 4, 5)
    at = {
        int(offset): packed[int(offset)] for offset in re.findall(r"^\| (\d+) \| \d+ \|", PAGE, re.M) if offset != "32"
    }
    assert at == {0: ord("A"), 4: 1, 6: 2, 8: 3, 9: 0, 16: 4, 24: 5}


def test_model_types() -> None:
    paragraph = PAGE.partition("Model types:")[2].partition("\n\n")[0]
    assert {int(n): name for n, name in re.findall(r"(\d+) ([A-Z]\w+)", paragraph)} == layout.MODEL_TYPES
    assert {name: n for n, name in layout.MODEL_TYPES.items()} == layout.MODEL_TYPE_NUMBERS


def test_first_nine_model_types_never_change() -> None:
    """Files in the world have these numbers."""
    assert [layout.MODEL_TYPES[number] for number in range(1, 10)] == [
        *("LinearRegression", "LogisticRegression", "DecisionTree", "RandomForest", "KMeans", "NaiveBayes"),
        *("SVM", "PCA", "GradientBoosting"),
    ]


def test_metadata_keys_in_order() -> None:
    table = PAGE.partition("## Metadata")[2].partition("any other key")[0]
    cells = re.findall(r"^\| (`.*?) \|", table, re.M)
    assert [key for cell in cells for key in re.findall(r"`(\w+)`", cell)] == [field.key for field in metadata.FIELDS]


def test_dtypes_and_limits() -> None:
    assert all(f"`{dtype}`" in PAGE for dtype in DTYPES)
    for limit in (
        "64 MiB",
        "16,777,216 values",
        "16 levels",
        "1,000,000, of",
        "8 dimensions",
        "divisible by 64",
        "50 MiB",
    ):
        assert limit in PAGE
    assert layout.METADATA_LIMIT_BYTES == 64 * 2**20
    assert layout.METADATA_VALUE_LIMIT == 16_777_216
    assert layout.NESTING_LIMIT == 16
    assert layout.TENSOR_LIMIT == 1_000_000
    assert layout.RANK_LIMIT == 8
    assert layout.ALIGNMENT_BYTES == 64
    assert layout.MAP_ABOVE_BYTES == 50 * 2**20
