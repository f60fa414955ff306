"""The metadata of an `.apr` file: one table of fields, checked in its order when read, written in its order.

    1. Every key in FIELDS is checked by the function beside it, which returns the value as ModelSpec has it.
    2. Keys that are not in FIELDS are kept in `ModelSpec.extra`. Records inside (a column, an operator, a tensor) take
       no unknown key: there it could change the meaning of the ones we know.
    3. Then what spans fields: an operator's inputs are known before it runs, outputs are distinct, its tensors exist.
    4. Numbers are plain Python integers, so no product can overflow; no key is used before its type was checked.

Where the bytes of the tensors lie is the reader's to check: this file sees names and numbers only.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, NoReturn, get_args

from inferir.errors import InvalidInputError, ModelLoadError
from inferir.formats.apr.layout import RANK_LIMIT, TENSOR_LIMIT
from inferir.formats.spec import DTYPES, ColumnSpec, Kind, ModelSpec, OperatorSpec, Task

__all__ = ["FIELDS", "Field", "Metadata", "TensorEntry", "check", "from_spec"]

_INT64 = (-(2**63), 2**63 - 1)
_PYTHON_WORD = {dict: "a map", list: "an array", str: "a string", int: "an integer", bool: "a boolean"}
_DAYS_IN_MONTH = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


class TensorEntry(NamedTuple):
    """Where a tensor lies. `offset` counts from the start of the payload; `nbytes` is product(shape) x item size."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    offset: int
    nbytes: int


class Metadata(NamedTuple):
    """Checked metadata: `fields` are arguments of ModelSpec, all but `model_type` and `tensors`."""

    fields: dict[str, Any]
    tensors: tuple[TensorEntry, ...]


class Field(NamedTuple):
    """A key of a record: `check(value, where)` returns the value to keep or raises ModelLoadError naming `where`."""

    key: str
    check: Callable[[object, str], Any]
    required: bool = True


def _fail(where: str, expected: str, got: object) -> NoReturn:
    raise ModelLoadError(f"{where}: expected {expected}, got {got!r:.80}")


def _is(kind: type) -> Callable[[object, str], Any]:
    """Exactly this type: a boolean is not an integer here."""

    def check_type(value: object, where: str) -> Any:
        if type(value) is not kind:
            word = _PYTHON_WORD.get(type(value), type(value).__name__)
            raise ModelLoadError(f"{where}: expected {_PYTHON_WORD[kind]}, got {word}")
        return value

    return check_type


_text, _map, _array, _integer = _is(str), _is(dict), _is(list), _is(int)


def _name(value: object, where: str) -> str:
    name: str = _text(value, where)
    return name or _fail(where, "a name", name)


def _one_of(words: Sequence[str]) -> Callable[[object, str], str]:
    def check_word(value: object, where: str) -> str:
        word: str = _text(value, where)
        return word if word in words else _fail(where, "one of " + ", ".join(words), word)

    return check_word


def _from_to(least: int, greatest: int) -> Callable[[object, str], int]:
    def check_range(value: object, where: str) -> int:
        number: int = _integer(value, where)
        return number if least <= number <= greatest else _fail(where, f"{least} to {greatest}", number)

    return check_range


_size = _from_to(0, _INT64[1])
_int64 = _from_to(*_INT64)


def _list_of(item: Callable[[object, str], Any], limit: int | None = None) -> Callable[[object, str], tuple[Any, ...]]:
    def check_items(value: object, where: str) -> tuple[Any, ...]:
        items = _array(value, where)
        if limit is not None and len(items) > limit:
            _fail(where, f"at most {limit} items", len(items))
        return tuple(item(one, f"{where}[{index}]") for index, one in enumerate(items))

    return check_items


def _map_of(item: Callable[[object, str], Any]) -> Callable[[object, str], dict[str, Any]]:
    return lambda value, where: {key: item(one, f"{where}.{key:.80}") for key, one in _map(value, where).items()}


def _distinct(values: Sequence[object], where: str) -> None:
    seen: set[object] = set()
    for value in values:
        if value in seen:
            _fail(where, "each of them once", value)
        seen.add(value)


def _record(value: object, where: str, fields: Sequence[Field]) -> dict[str, Any]:
    """The values of `fields` in the map `value`, checked; keys that are not there and not required are left out."""
    record = _map(value, where)
    checked = {}
    for key, check_field, required in fields:
        if key in record:
            checked[key] = check_field(record[key], f"{where}.{key}")
        elif required:
            raise ModelLoadError(f"{where}: expected the key {key!r}, got none")
    return checked


def _closed_record(value: object, where: str, fields: Sequence[Field]) -> dict[str, Any]:
    checked = _record(value, where, fields)
    for key in _map(value, where):
        if key not in checked:
            _fail(where, "only " + ", ".join(field.key for field in fields), key)
    return checked


def _timestamp(value: object, where: str) -> str:
    """Empty, or RFC 3339 in UTC to the second: 2026-01-31T12:00:00Z."""
    text: str = _text(value, where)
    digits = text[0:4] + text[5:7] + text[8:10] + text[11:13] + text[14:16] + text[17:19]
    marks = text[4:5] + text[7:8] + text[10:11] + text[13:14] + text[16:17] + text[19:]
    if text and not (marks == "--T::Z" and len(digits) == 14 and digits.isascii() and digits.isdigit()):
        _fail(where, "YYYY-MM-DDTHH:MM:SSZ", text)
    if text:
        year, month, day = int(text[0:4]), int(text[5:7]), int(text[8:10])
        leap_day = month == 2 and year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
        if not (year and 1 <= month <= 12 and 1 <= day <= _DAYS_IN_MONTH[month - 1] + leap_day):
            _fail(where, "a day of the calendar", text)
        if not (int(text[11:13]) < 24 and int(text[14:16]) < 60 and int(text[17:19]) < 60):
            _fail(where, "a time of the day", text)
    return text


_COLUMN_FIELDS = (
    Field("name", _text),
    Field("kind", _one_of(get_args(Kind))),
    Field("categories", _list_of(_text), required=False),
)


def _column(value: object, where: str) -> ColumnSpec:
    column = ColumnSpec(**_closed_record(value, where, _COLUMN_FIELDS))
    if (column.kind == "category") != (column.categories is not None):
        _fail(where, "categories for a category column and for no other", column.kind)
    _distinct(column.categories or (), f"{where}.categories")
    return column


def _columns(value: object, where: str) -> tuple[ColumnSpec, ...]:
    columns = _list_of(_column)(value, where)
    _distinct([column.name for column in columns], where)
    return columns


def _label(value: object, where: str) -> str | int:
    return value if isinstance(value, str) else _int64(value, where)


def _labels(value: object, where: str) -> tuple[str | int, ...]:
    labels = _list_of(_label)(value, where)
    _distinct(labels, where)
    return labels


def _classes(value: object, where: str) -> tuple[Any, ...]:
    """Labels, or one array of labels for each output."""
    items = _array(value, where)
    return _list_of(_labels)(items, where) if items and isinstance(items[0], list) else _labels(items, where)


_OPERATOR_FIELDS = (
    Field("op", _name),
    Field("inputs", _list_of(_name)),
    Field("output", _name),
    Field("attributes", _map),
    Field("tensors", _map_of(_name)),
)


def _operator(value: object, where: str) -> OperatorSpec:
    operator = OperatorSpec(**_closed_record(value, where, _OPERATOR_FIELDS))
    if not operator.inputs:
        _fail(where, "at least one input, whose rows the output has", operator.inputs)
    return operator


_TENSOR_FIELDS = (
    Field("name", _name),
    Field("dtype", _one_of(tuple(DTYPES))),
    Field("shape", _list_of(_size, RANK_LIMIT)),
    Field("offset", _size),
    Field("nbytes", _size),
)


def _tensor(value: object, where: str) -> TensorEntry:
    tensor = TensorEntry(**_closed_record(value, where, _TENSOR_FIELDS))
    # NumPy's own limit, for empty arrays too: the dimensions that are not 0 multiply to less than 2**63 bytes.
    nbytes = DTYPES[tensor.dtype]
    for dimension in tensor.shape:
        nbytes *= dimension or 1
    if nbytes > _INT64[1]:
        _fail(where, "a shape of less than 2**63 bytes", tensor.shape)
    if 0 in tensor.shape:
        nbytes = 0
    if tensor.nbytes != nbytes:
        _fail(where, f"{nbytes} bytes for {tensor.dtype} of shape {tensor.shape}", tensor.nbytes)
    return tensor


def _tensors(value: object, where: str) -> tuple[TensorEntry, ...]:
    tensors = _list_of(_tensor, TENSOR_LIMIT)(value, where)
    _distinct([tensor.name for tensor in tensors], where)
    return tensors


#: In the order in which they are written.
FIELDS = (
    Field("name", _text),
    Field("model_version", _text),
    Field("created", _timestamp, required=False),
    Field("producer", _text, required=False),
    Field("framework", _map_of(_text), required=False),
    Field("task", _one_of(get_args(Task))),
    Field("columns", _columns),
    Field("classes", _classes, required=False),
    Field("operators", _list_of(_operator)),
    Field("tensors", _tensors),
    Field("training", _map, required=False),
    Field("metrics", _map, required=False),
    Field("baseline", _map, required=False),
    Field("card", _map, required=False),
)
_KEYS = frozenset(field.key for field in FIELDS)


def check(value: object) -> Metadata:
    """Metadata as decoded -> as ModelSpec has it. Raises ModelLoadError, naming the field."""
    fields = _record(value, "metadata", FIELDS)
    fields["extra"] = {key: kept for key, kept in _map(value, "metadata").items() if key not in _KEYS}
    tensors = fields.pop("tensors")
    _check_references(fields["operators"], {tensor.name for tensor in tensors})
    return Metadata(fields, tensors)


def _check_references(operators: Sequence[OperatorSpec], tensor_names: set[str]) -> None:
    values = {"input"}
    for index, operator in enumerate(operators):
        where = f"metadata.operators[{index}]"
        for name in operator.inputs:
            if name not in values:
                _fail(f"{where}.inputs", "'input' or the output of an earlier operator", name)
        if operator.output in values:
            _fail(f"{where}.output", "a name of its own", operator.output)
        values.add(operator.output)
        for role, name in operator.tensors.items():
            if name not in tensor_names:
                _fail(f"{where}.tensors.{role:.80}", "the name of a tensor of this file", name)


def from_spec(spec: ModelSpec, tensors: Sequence[TensorEntry]) -> dict[str, object]:
    """The map to encode: FIELDS in order, then `extra` by name. What it holds is checked by `check`, not here."""
    if known := sorted(_KEYS.intersection(spec.extra)):
        raise InvalidInputError(f"extra: expected keys that are no field of a model, got {', '.join(known)}")
    special = {
        "columns": [_column_map(column) for column in spec.columns],
        "operators": [_operator_map(operator) for operator in spec.operators],
        "tensors": [tensor._asdict() for tensor in tensors],
        "framework": dict(spec.framework),
        "training": dict(spec.training),
        "metrics": dict(spec.metrics),
        "baseline": dict(spec.baseline),
        "card": dict(spec.card),
    }
    fields = {key: special[key] if key in special else getattr(spec, key) for key, _, _ in FIELDS}
    return fields | {key: spec.extra[key] for key in sorted(spec.extra)}


def _column_map(column: ColumnSpec) -> dict[str, object]:
    fields: dict[str, object] = {"name": column.name, "kind": column.kind}
    return fields if column.categories is None else fields | {"categories": column.categories}


def _operator_map(operator: OperatorSpec) -> dict[str, object]:
    return {
        "op": operator.op,
        "inputs": operator.inputs,
        "output": operator.output,
        "attributes": dict(operator.attributes),
        "tensors": dict(operator.tensors),
    }
