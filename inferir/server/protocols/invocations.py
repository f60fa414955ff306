"""Bodies of /invocations, as containers of SageMaker and MLflow take them: bytes -> rows, answers -> bytes.

    application/json        one of MLflow's four, dataframe_split, dataframe_records, instances, inputs; or a list
    application/jsonlines   a row a line
    text/csv                with or without a line of names

    dataframe_split     {"columns": ["a", "b"], "data": [[1, 2], [3, 4]]}
    dataframe_records   [{"a": 1, "b": 2}, ...]
    instances           [[1, 2], ...], [{"a": 1, "b": 2}, ...], or SageMaker's [{"features": [1, 2]}, ...]
    inputs              {"a": [1, 3], "b": [2, 4]}, or [[1, 2], ...]

`params` of MLflow may hold {"predict_method": "predict_proba"}. Answers come back as {"predictions": [...]}, one line
each for CSV and JSON lines where Accept says so.

Source: MLflow, "Deploy MLflow Model as a Local Inference Server", "Inference Server Specification"; AWS, "Common Data
Formats for Inference".
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import msgspec
from msgspec import Struct

from inferir.datafiles.delimited import MISSING, CsvReader
from inferir.datafiles.files import Source
from inferir.errors import DimensionError, InvalidInputError
from inferir.rows import Columns
from inferir.rows.plain import parse_number
from inferir.server.errors import UnsupportedMediaError

__all__ = ["CSV", "JSON", "JSON_LINES", "InvocationBody", "Rows", "decode", "encode", "media_type"]

JSON, JSON_LINES, CSV = "application/json", "application/jsonlines", "text/csv"

#: Other words for them.
_ALIASES: Mapping[str, str] = {
    "": JSON,
    "*/*": JSON,
    "application/json": JSON,
    "application/x-www-form-urlencoded": JSON,  # what curl -d says
    "application/jsonlines": JSON_LINES,
    "application/x-jsonlines": JSON_LINES,
    "application/x-ndjson": JSON_LINES,
    "text/csv": CSV,
}

Scalar: TypeAlias = float | int | str | bool | None
Row: TypeAlias = list[Scalar] | dict[str, Scalar | list[Scalar]] | Scalar


class DataframeSplit(Struct):
    """A data frame as pandas' orient="split" writes it."""

    data: list[list[Scalar]]
    columns: list[str] | None = None


class InvocationBody(Struct):
    """Exactly one of the first four."""

    dataframe_split: DataframeSplit | None = None
    dataframe_records: list[dict[str, Scalar]] | None = None
    instances: list[Row] | None = None
    inputs: dict[str, list[Scalar] | Scalar] | list[Row] | None = None
    params: dict[str, Any] | None = None


#: The four, in the order in which errors name them.
_FORMS = ("dataframe_split", "dataframe_records", "instances", "inputs")

#: Those of CsvReader, which then looks for the one that fits best.
_SEPARATORS = "[,;\t|]"

_METHODS: Mapping[str, str] = {"predict": "prediction", "predict_proba": "probabilities"}

_body = msgspec.json.Decoder(InvocationBody)
_list = msgspec.json.Decoder(list[Row])
_line = msgspec.json.Decoder(list[Scalar] | dict[str, Scalar | list[Scalar]])
_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows as `Model.predict` takes them, each a list or a dict by column name, and the face asked for."""

    rows: list[Any]
    face: str | None = None


def media_type(header: str | None, what: str = "Content-Type") -> str:
    """JSON, JSON_LINES or CSV. Raises UnsupportedMediaError (415).

    Of several types, as browsers send in Accept, the first that is known.
    """
    for part in (header or "").split(","):
        found = _ALIASES.get(part.partition(";")[0].strip().lower())
        if found is not None:
            return found
    raise UnsupportedMediaError(f"expected {what} {JSON}, {JSON_LINES} or {CSV}, got {header!r:.100}")


def decode(body: bytes, content_type: str | None, columns: Columns) -> Rows:
    """The rows in a body. Raises UnsupportedMediaError, InvalidInputError (E006), DimensionError (E003)."""
    kind = media_type(content_type)
    if kind == CSV:
        return Rows(_csv(body, content_type or "", columns))
    width = len(columns.names)
    try:
        if kind == JSON_LINES:
            return Rows([_row(_line.decode(line), width) for line in bytes(body).splitlines() if line.strip()])
        if bytes(body[:64]).lstrip()[:1] == b"[":
            return Rows([_row(row, width) for row in _list.decode(body)])
        return _form(_body.decode(body), width)
    except RecursionError:
        raise InvalidInputError("expected JSON of a reasonable depth") from None
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise InvalidInputError(f"expected {kind}: {error}") from None


def encode(predictions: Sequence[Any], accept: str) -> bytes:
    """Predictions, each a value or a list, in the form `accept`, one of JSON, JSON_LINES, CSV."""
    if accept == JSON:
        return _encode({"predictions": predictions})
    if accept == JSON_LINES:
        return b"".join([_encode(prediction) + b"\n" for prediction in predictions])
    text = io.StringIO()
    rows = [prediction if isinstance(prediction, list) else [prediction] for prediction in predictions]
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()


def _form(body: InvocationBody, width: int) -> Rows:
    came = [name for name in _FORMS if getattr(body, name) is not None]
    if len(came) != 1:
        raise InvalidInputError(f"expected exactly one of {', '.join(_FORMS)}, got {', '.join(came) or 'none'}")
    method = (body.params or {}).get("predict_method", "predict")
    if not isinstance(method, str) or method not in _METHODS:
        raise InvalidInputError(f"expected params.predict_method among {', '.join(_METHODS)}, got {method!r:.100}")
    face = _METHODS[method] if body.params and "predict_method" in body.params else None
    if body.dataframe_split is not None:
        return Rows(_split(body.dataframe_split), face)
    if body.dataframe_records is not None:
        return Rows(list(body.dataframe_records), face)
    if isinstance(body.inputs, dict):
        return Rows(_columnar(body.inputs), face)
    rows = body.instances if body.inputs is None else body.inputs
    return Rows([_row(row, width) for row in rows or ()], face)


def _split(frame: DataframeSplit) -> list[Any]:
    if frame.columns is None:
        return list(frame.data)
    for number, row in enumerate(frame.data):
        if len(row) != len(frame.columns):
            raise DimensionError(f"row {number}: expected {len(frame.columns)} values, got {len(row)}")
    return [dict(zip(frame.columns, row, strict=True)) for row in frame.data]


def _columnar(columns: Mapping[str, Any]) -> list[Any]:
    listed = {name: values if isinstance(values, list) else [values] for name, values in columns.items()}
    lengths = {len(values) for values in listed.values()}
    if len(lengths) > 1:
        raise DimensionError(f"inputs: expected columns of one length, got {sorted(lengths)[:10]}")
    return [dict(zip(listed, row, strict=True)) for row in zip(*listed.values(), strict=True)]


def _row(row: Any, width: int) -> Any:
    if isinstance(row, dict):
        features = row.get("features")
        return features if isinstance(features, list) else row
    # A model of one column: its values may come without lists of one.
    return row if isinstance(row, list) or width != 1 else [row]


def _csv(body: bytes, content_type: str, columns: Columns) -> list[Any]:
    if not body.strip():
        raise InvalidInputError("expected rows of CSV, got an empty body")
    reader = CsvReader(_BodySource(body), columns, len(body), _has_header(body, content_type, columns))
    batch: dict[str, Any] = next(iter(reader), {})
    lists = [values if isinstance(values, list) else values.tolist() for values in batch.values()]
    return [list(row) for row in zip(*lists, strict=True)]


def _has_header(body: bytes, content_type: str, columns: Columns) -> bool:
    """Said by the content type (text/csv; header=present), or seen: a name of a column, or no number where there are
    only numbers.
    """
    said = content_type.lower().replace(" ", "").partition("header=")[2].partition(";")[0]
    if said in ("present", "absent"):
        return said == "present"
    line = body.lstrip().partition(b"\n")[0][:100_000].decode("utf-8-sig", "replace")
    fields = [field.strip().strip('"') for field in re.split(_SEPARATORS, line)]
    if not set(columns.names).isdisjoint(fields):
        return True
    if any(column.categories is not None for column in columns.specs):
        return False
    return all(parse_number(field) is None and field not in MISSING for field in fields)


class _BodySource(Source):
    """A body in the place of a file."""

    def __init__(self, body: bytes) -> None:
        self.path = self.name = "body"
        self.standard = False
        self.total = len(body)
        self.file = io.BytesIO(body)
        self._counting = None
        self._layers = []
