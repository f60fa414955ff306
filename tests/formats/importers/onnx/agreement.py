"""Does a converted graph answer as onnxruntime does, and as onnx's own reference evaluator?"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

import inferir
from tests.parity import Array

FLOAT, DOUBLE, INT, TEXT = TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.INT64, TensorProto.STRING


def node(op: str, inputs: str, outputs: str, domain: str = "", **attributes: Any) -> Any:
    """A node; names of inputs and outputs are words."""
    return helper.make_node(op, inputs.split(), outputs.split(), domain=domain, **attributes)


def ml(op: str, inputs: str, outputs: str, **attributes: Any) -> Any:
    return node(op, inputs, outputs, "ai.onnx.ml", **attributes)


def graph(
    nodes: Sequence[Any],
    inputs: Mapping[str, tuple[int, Sequence[int | None]]],
    outputs: Mapping[str, int],
    constants: Mapping[str, Any] | None = None,
    opset: int = 18,
    ml_opset: int = 3,
) -> Any:
    """A model of `nodes`. Inputs have a type and a shape, outputs a type."""
    made = helper.make_graph(
        list(nodes),
        "graph",
        [helper.make_tensor_value_info(name, kind, list(shape)) for name, (kind, shape) in inputs.items()],
        [helper.make_tensor_value_info(name, kind, None) for name, kind in outputs.items()],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in (constants or {}).items()],
    )
    opsets = [
        helper.make_opsetid("", opset),
        helper.make_opsetid("ai.onnx.ml", ml_opset),
        helper.make_opsetid("com.microsoft", 1),
    ]
    return helper.make_model(made, opset_imports=opsets, ir_version=9, producer_name="by hand")


def converted(model: Any) -> inferir.Model:
    """Through the file, and through the .apr file and back."""
    data = model if isinstance(model, bytes) else model.SerializeToString()
    with TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        path.write_bytes(data)
        return inferir.load(inferir.convert(path).to_bytes())


def _options() -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    return options


def session(model: Any) -> Any:
    return onnxruntime.InferenceSession(model.SerializeToString(), _options(), providers=["CPUExecutionProvider"])


def theirs(model: Any, feeds: Any) -> list[Any]:
    """onnxruntime's outputs; maps as a matrix."""
    made = session(model)
    if not isinstance(feeds, Mapping):
        feeds = {made.get_inputs()[0].name: feeds}
    return [_matrix(value) for value in made.run(None, feeds)]


def reference(model: Any, feeds: Mapping[str, Array]) -> list[Any]:
    """The outputs of onnx's reference evaluator."""
    from onnx.reference import ReferenceEvaluator

    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return list(ReferenceEvaluator(model).run(None, dict(feeds)))


def _matrix(value: Any) -> Any:
    return np.array([list(row.values()) for row in value]) if isinstance(value, list) else value


def close(ours: Any, right: Any, relative: float = 2e-6, absolute: float = 2e-7) -> None:
    """Within the contract for float32; infinities and NaN in the same places."""
    ours, right = np.asarray(ours), np.asarray(right)
    np.testing.assert_allclose(ours.reshape(right.shape), right, rtol=relative, atol=absolute, equal_nan=True)


def same_labels(ours: Any, right: Any) -> None:
    np.testing.assert_array_equal(np.asarray(ours).astype(str).ravel(), np.asarray(right).astype(str).ravel())


@cache
def rows(n: int = 200, columns: int = 4, seed: int = 0) -> Array:
    """Normal float32 rows."""
    return np.random.default_rng(seed).normal(size=(n, columns)).astype(np.float32)


def onnx_version() -> tuple[int, ...]:
    return tuple(int(part) for part in onnx.__version__.split(".")[:2])
