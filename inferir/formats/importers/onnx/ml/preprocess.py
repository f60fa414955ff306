"""What prepares rows: Scaler, Imputer, Normalizer, Binarizer, encoders, ZipMap."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from inferir.formats.importers.onnx.emit import FLOAT, INT, Emitter, storage
from inferir.formats.importers.onnx.plain.broadcasting import Handler, fold_table, operands_of
from inferir.formats.importers.onnx.plain.elementwise import HANDLERS as PLAIN
from inferir.formats.importers.onnx.plain.reductions import HANDLERS as REDUCTIONS
from inferir.formats.importers.onnx.reader import ML, Node
from inferir.formats.importers.onnx.values import TEXT, Array, Constant, Maps, Tensor, Value

__all__ = ["HANDLERS"]

DOUBLE = np.dtype(np.float64)


def _tensor(e: Emitter, node: Node, values: Sequence[Value]) -> Tensor:
    if len(values) != 1 or not isinstance(values[0], Tensor):
        raise e.unsupported(f"{node.op} of a constant", "rows")
    return values[0]


def _per_column(e: Emitter, node: Node, t: Tensor, given: Array, name: str) -> Array:
    if len(given) not in (1, t.columns.size):
        raise node.fail(f"expected 1 or {t.columns.size} values in {name}, got {len(given)}")
    return e.row(given, t.columns.size)


def _scaler(e: Emitter, node: Node, values: Sequence[Value]) -> Value:
    """(x - offset) * scale, in float32 unless x is double; the answer is float32."""
    t = e.matrix(_tensor(e, node, values))
    offset, scale = node.floats("offset"), node.floats("scale")
    if len(offset) != len(scale):
        raise node.fail(f"expected as many values in offset as in scale, got {len(offset)} and {len(scale)}")
    stored = "f64" if t.dtype == DOUBLE else "f32"
    offset, scale = _per_column(e, node, t, offset, "offset"), _per_column(e, node, t, scale, "scale")
    value = e.affine(e.affine(e.flat(t, stored), 1.0, -offset, len(offset)), scale, -0.0, len(scale))
    return e.same(t, e.cast(value, "f32"), "f32", FLOAT) if stored == "f64" else e.same(t, value, "f32", FLOAT)


def _imputer(e: Emitter, node: Node, values: Sequence[Value]) -> Value:
    """imputed_value_* where x is replaced_value_*."""
    t = e.matrix(_tensor(e, node, values))
    floats, ints = node.floats("imputed_value_floats"), node.ints("imputed_value_int64s")
    if bool(len(floats)) == bool(len(ints)):
        raise node.fail("expected either imputed_value_floats or imputed_value_int64s")
    missing = float(
        node.get("replaced_value_float", float, 0.0) if len(floats) else node.get("replaced_value_int64", int, 0)
    )
    given: Array = floats if len(floats) else ints
    if len(given) not in (1, t.columns.size):  # onnxruntime then takes the first
        raise node.fail(f"expected 1 or {t.columns.size} imputed values, got {len(given)}")
    tensors = {
        "columns": np.arange(t.columns.size),
        "fill": e.row(given, t.columns.size),
        "indicators": np.zeros(0, np.int64),
    }
    return e.same(t, e.b.op("impute", e.flat(t), tensors=tensors, missing=missing))


def _normalizer(e: Emitter, node: Node, values: Sequence[Value]) -> Value:
    """Each row over its norm, as float32. MAX is the largest value, not the largest magnitude, and leaves NaN out."""
    t = e.matrix(_tensor(e, node, values))
    norm = node.choice("norm", ("MAX", "L1", "L2"), "MAX")
    value = e.flat(t, "f32")
    if norm != "MAX":
        return e.same(t, e.b.op("normalize", value, norm=norm.lower()), "f32", FLOAT)
    x = e.same(t, value, "f32", FLOAT)

    def apply(op: str, *operands: Constant | Tensor) -> Any:
        return (PLAIN | REDUCTIONS)[op](e, Node(op, "", node.name, (), (), {"axes": [1]}), operands)

    lowest, zero = Constant(np.array(np.finfo(FLOAT).min)), Constant(np.array(0, FLOAT))
    most = apply("ReduceMax", apply("Where", apply("IsNaN", x), lowest, x))
    return apply("Where", apply("Equal", most, zero), x, apply("Div", x, most))  # type: ignore[no-any-return]


def _binarizer(e: Emitter, node: Node, values: Sequence[Value]) -> Value:
    t = e.numbers(_tensor(e, node, values))
    threshold = node.get("threshold", float, 0.0)
    return e.same(t, e.b.op("binarize", e.flat(t), threshold=threshold))


# -- encoders


def _sorted(categories: Array, other: Array) -> tuple[Array, Array]:
    """Categories that rise, NaN last, and what goes with each; of equal ones the first counts."""
    known, first = np.unique(categories.astype(np.float64) + 0.0, return_index=True)
    return known, other[first]


def _codes(e: Emitter, node: Node, t: Tensor, keys: Sequence[Any] | Array) -> list[Array]:
    """For each element of the tensor, the keys as numbers: themselves, or codes of the input column that it is."""
    if t.dtype != TEXT:
        return [np.asarray(keys, np.float64)] * t.columns.size
    return [np.array(e.b.category_codes(int(c), list(keys)), np.float64) for c in t.columns.reshape(-1)]


def _source(e: Emitter, t: Tensor) -> str:
    """The matrix that categories are looked up in: numbers, or codes of text."""
    return e.flat(Tensor(t.value, t.columns, t.axis, DOUBLE, t.stored, t.width))


def _one_hot(e: Emitter, node: Node, values: Sequence[Value]) -> Value:
    """Shape of x, then the categories. Floats lose their fraction first; zeros=0 refuses what is no category."""
    t = _tensor(e, node, values)
    texts, ints = node.strings("cats_strings"), node.ints("cats_int64s")
    if bool(texts) == bool(len(ints)):
        raise node.fail("expected either cats_int64s or cats_strings")
    if t.stored == "i64":
        return _one_hot_of_table(e, t, np.array(texts, TEXT) if texts else ints)
    if (t.dtype == TEXT) != bool(texts):
        raise node.fail(f"expected categories of the input's type, which is {'string' if t.dtype == TEXT else t.dtype}")
    keys: Sequence[Any] = texts or ints.tolist()
    x, value = t, _source(e, t)
    if t.dtype.kind == "f":
        value = e.b.op("apply", value, function="truncate")
    size, count = x.columns.size, len(keys)
    categories, columns = [], []
    for position, codes in enumerate(_codes(e, node, t, keys)):
        known, column = _sorted(codes[::-1], np.arange(count)[::-1] + position * count)  # of equal ones the last
        categories.append(known)
        columns.append(column)
    tensors = {
        "begin": np.cumsum([0, *map(len, categories)]),
        "category": np.concatenate(categories),
        "column": np.concatenate(columns).astype(np.int64),
        "unknown": np.full(size, -1 if node.get("zeros", int, 1) else -2, np.int64),
    }
    out = e.cast(e.b.op("one_hot", value, tensors=tensors, width=size * count), "f32")
    return e.tensor(out, np.zeros((*x.columns.shape, count)), x.axis, FLOAT, "f32")


def _one_hot_of_table(e: Emitter, t: Tensor, keys: Array) -> Value:
    """Of a label: a column for each category, 1 where the label is that."""
    equal = PLAIN["Equal"]
    parts = []
    for key in keys:
        same = equal(e, Node("Equal", "", "", (), (), {}), [t, Constant(np.array(key, keys.dtype))])
        assert isinstance(same, Tensor)
        one = PLAIN["Cast"](e, Node("Cast", "", "", (), (), {"to": 1}), [same])
        assert isinstance(one, Tensor)
        one = e.numbers(one)
        parts.append(one.see(one.columns[..., None]))
    return e.place(parts, [p.columns for p in parts], t.axis, t.columns.ndim, FLOAT)


_KEYS = ("strings", "int64s", "floats", "tensor")


def _pairs(node: Node) -> tuple[Array, Array, Any]:
    """Keys, values and the default of a LabelEncoder, whatever their types."""
    found = {}
    for side in ("keys", "values"):
        for kind in _KEYS:
            if f"{side}_{kind}" in node.attributes:
                value = node.attributes[f"{side}_{kind}"]
                array = value if kind == "tensor" else _list(node, f"{side}_{kind}", kind)
                if side in found:
                    raise node.fail(f"expected one attribute {side}_*")
                found[side] = array.reshape(-1)
    if "classes_strings" in node.attributes and not found:  # ai.onnx.ml 1
        found["keys"] = _list(node, "classes_strings", "strings")
        found["values"] = np.arange(len(found["keys"]))
    if set(found) != {"keys", "values"} or len(found["keys"]) != len(found["values"]):
        raise node.fail("expected as many keys_* as values_*")
    values = found["values"]
    return found["keys"], values, _default(node, values)


def _list(node: Node, name: str, kind: str) -> Array:
    if kind == "strings":
        out = np.empty(len(node.strings(name)), TEXT)
        out[:] = node.strings(name)
        return out
    return node.ints(name) if kind == "int64s" else node.floats(name)


def _default(node: Node, values: Array) -> Any:
    if "default_tensor" in node.attributes:
        tensor: Array = node.need("default_tensor", np.ndarray)
        if tensor.size != 1:
            raise node.fail(f"expected a default_tensor of one element, got {tensor.size}")
        return tensor.reshape(-1)[0]
    if values.dtype == TEXT:
        return node.get("default_string", str, "_Unused")
    if values.dtype.kind == "f":
        return np.float32(node.get("default_float", float, -0.0))
    return np.int64(node.get("default_int64", int, -1))


def _label_encoder(e: Emitter, node: Node, values: Sequence[Value]) -> Value:
    """A NaN among the keys is met by NaN since ai.onnx.ml 4; before, nothing equals it."""
    keys, mapped, default = _pairs(node)
    if keys.dtype.kind == "f" and e.opset.get(ML, 1) < 4:
        keys, mapped = keys[~np.isnan(keys)], mapped[~np.isnan(keys)]
    return encode(e, node, values, keys, mapped, default)


def _category_mapper(e: Emitter, node: Node, values: Sequence[Value]) -> Value:
    """Strings to integers or back, by which the input is."""
    texts, ints = _list(node, "cats_strings", "strings"), node.ints("cats_int64s")
    if len(texts) != len(ints):
        raise node.fail(f"expected as many cats_strings as cats_int64s, got {len(texts)} and {len(ints)}")
    if operands_of(node, values)[0].dtype == TEXT:
        return encode(e, node, values, texts, ints, np.int64(node.get("default_int64", int, -1)))
    return encode(e, node, values, ints, texts, node.get("default_string", str, "_Unused"))


def encode(e: Emitter, node: Node, values: Sequence[Value], keys: Array, mapped: Array, default: Any) -> Value:
    """What each key becomes. Of positions and constants a new table; of columns a search in sorted keys."""
    value = operands_of(node, values)[0]
    if (keys.dtype == TEXT) != (value.dtype == TEXT):
        raise node.fail("expected keys of the input's type")
    look_up = _look_up(keys, mapped, default)
    if isinstance(value, Constant):
        return Constant(look_up(value.array), value.axis)
    if (folded := fold_table(node, look_up, [value])) is not None:
        return folded
    if mapped.dtype == TEXT:
        raise e.unsupported(
            "columns that are mapped to strings", "columns mapped to numbers, and labels mapped to strings"
        )
    dtype = FLOAT if mapped.dtype == FLOAT else DOUBLE if mapped.dtype == DOUBLE else INT
    categories, codes = [], []
    for number in _codes(e, node, value, keys):
        known, code = _sorted(number, mapped.astype(np.float64))
        categories.append(known)
        codes.append(code)
    tensors = {
        "begin": np.cumsum([0, *map(len, categories)]),
        "category": np.concatenate(categories),
        "code": np.concatenate(codes),
    }
    out = e.b.op("encode", _source(e, value), tensors=tensors, unknown="value", unknown_value=float(default))
    stored = storage(dtype)
    return e.tensor(e.cast(out, stored) if stored == "f32" else out, value, value.axis, dtype, stored)


def _look_up(keys: Array, mapped: Array, default: Any) -> Callable[[Array], Array]:
    known = dict(zip(keys.tolist()[::-1], mapped.tolist()[::-1], strict=True))  # of equal keys the first
    nan = next((m for k, m in zip(keys.tolist(), mapped.tolist(), strict=True) if k != k), default)

    def look_up(array: Array) -> Array:
        out = np.empty(array.shape, mapped.dtype)
        out[...] = np.array(
            [nan if v != v else known.get(v, default) for v in array.reshape(-1).tolist()], mapped.dtype
        ).reshape(array.shape)
        return out

    return look_up


def _zip_map(e: Emitter, node: Node, values: Sequence[Value]) -> Value:
    t = _tensor(e, node, values)
    texts, ints = node.strings("classlabels_strings"), node.ints("classlabels_int64s")
    if bool(texts) == bool(len(ints)):
        raise e.unsupported("ZipMap without class labels", "classlabels_strings or classlabels_int64s")
    keys = tuple(texts or ints.tolist())
    t = e.matrix(t)
    if len(keys) != t.columns.size:
        raise e.unsupported(f"{len(keys)} class labels for {t.columns.size} columns", "one class label a column")
    return Maps(t, keys)


HANDLERS: dict[str, Handler] = {
    "Scaler": _scaler,
    "Imputer": _imputer,
    "Normalizer": _normalizer,
    "Binarizer": _binarizer,
    "OneHotEncoder": _one_hot,
    "LabelEncoder": _label_encoder,
    "CategoryMapper": _category_mapper,
    "ZipMap": _zip_map,
}
