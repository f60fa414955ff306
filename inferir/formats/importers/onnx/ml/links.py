"""post_transform: from scores to what a node answers, and labels of classes."""

from __future__ import annotations

import numpy as np

from inferir.formats.importers.onnx.emit import FLOAT, INT, Emitter, matrix_of
from inferir.formats.importers.onnx.plain.elementwise import HANDLERS as PLAIN
from inferir.formats.importers.onnx.plain.reductions import HANDLERS as REDUCTIONS
from inferir.formats.importers.onnx.reader import Node
from inferir.formats.importers.onnx.values import TEXT, Array, Constant, Tensor

__all__ = ["TRANSFORMS", "class_labels", "label", "link", "two_scores"]

TRANSFORMS = ("NONE", "LOGISTIC", "SOFTMAX", "SOFTMAX_ZERO", "PROBIT")


def class_labels(node: Node, ints: str) -> Array:
    """classlabels_strings, or the attribute `ints`: int64s in trees, ints elsewhere."""
    texts, numbers = node.strings("classlabels_strings"), node.ints(ints)
    if bool(texts) == bool(len(numbers)):
        raise node.fail(f"expected either classlabels_strings or {ints}")
    if not texts:
        labels: Array = numbers
    else:
        labels = np.empty(len(texts), TEXT)
        labels[:] = texts
    if len(set(labels.tolist())) != len(labels):
        raise node.fail(f"expected different class labels, got {labels.tolist()[:20]}")
    return labels


def label(positions: str, labels: Array) -> Tensor:
    """The label output, [N]: class positions and what they stand for."""
    dtype = labels.dtype if labels.dtype == TEXT else INT
    return Tensor(positions, np.zeros(1, np.int64), 0, dtype, "i64", 1, table=labels)


def link(e: Emitter, node: Node, total: str, width: int, transform: str) -> Tensor:
    """Scores (a float32 matrix) to a node's output, [N, width]."""
    one = {"SOFTMAX": "softmax", "PROBIT": "normal_quantile"}
    if transform == "SOFTMAX_ZERO":
        return _softmax_zero(e, node, matrix_of(total, width, "f32"))
    if transform != "NONE":
        total = e.b.op("sigmoid", total, scale=1.0) if transform == "LOGISTIC" else e.b.op(one[transform], total)
    return matrix_of(total, width, "f32", margin=transform == "NONE")


def _softmax_zero(e: Emitter, node: Node, x: Tensor) -> Tensor:
    """Softmax that leaves zeros out: exp(x - max) over the sum of it where |x| > 1e-7, and x exp(-max) elsewhere."""

    def apply(op: str, *values: Constant | Tensor) -> Tensor:
        out = (PLAIN | REDUCTIONS)[op](e, Node(op, "", node.name, (), (), {"axes": [1]}), values)
        assert isinstance(out, Tensor)
        return out

    zero = Constant(np.array(0, FLOAT))
    most = apply("ReduceMax", x)
    counts = apply("Greater", apply("Abs", x), Constant(np.array(1e-7, FLOAT)))
    share = apply("Exp", apply("Sub", x, most))
    total = apply("ReduceSum", apply("Where", counts, share, zero))
    return apply("Div", apply("Where", counts, share, apply("Mul", x, apply("Exp", apply("Neg", most)))), total)


def two_scores(e: Emitter, total: str, stored: str, transform: str, positive: bool) -> Tensor:
    """Scores of both classes from that of the second, as onnxruntime makes them: through the link if that is logistic,
    else 1 - x and x where all weights are positive, -x and x where not."""
    if transform != "LOGISTIC" and positive:
        both = e.b.op("complement", total)
        return matrix_of(e.cast(both, "f32") if stored == "f64" else both, 2, "f32")
    if stored == "f64":
        total = e.cast(total, "f32")
    both = e.b.op("select", total, tensors={"columns": np.zeros(2, np.int64)})
    both = e.affine(both, np.array([-1.0, 1.0]), -0.0, 2)
    if transform == "LOGISTIC":
        return matrix_of(e.b.op("sigmoid", both, scale=1.0), 2, "f32")
    return matrix_of(both, 2, "f32", margin=True)
