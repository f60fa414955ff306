"""onnxruntime on what skl2onnx and onnxmltools make of a model (`prepare.py`): only the answer that is asked for.

Graphs are in the width of the rows where the converter's operators have it; trees, classifiers, k-NN's and SVM's are
float32 whatever the rows are, and get float32 rows, narrowed before the clock starts.
"""

from __future__ import annotations

import numpy as np
import onnxruntime

from benchmarks.rivals.subject import Prepared, Subject

__all__ = ["prepare"]

_WIDTHS = {"tensor(float)": np.float32, "tensor(double)": np.float64}


def prepare(subject: Subject) -> Prepared | None:
    if not subject.onnx.is_file():
        return None
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads, settings.inter_op_num_threads = subject.threads, 1
    settings.log_severity_level = 3
    session = onnxruntime.InferenceSession(subject.onnx, settings, providers=["CPUExecutionProvider"])
    (given,) = session.get_inputs()
    outputs = [session.get_outputs()[1 if subject.ask == "probabilities" else 0].name]
    name, dtype = given.name, _WIDTHS[given.type]
    return Prepared(
        lambda rows: session.run(outputs, {name: rows})[0], rows=lambda rows: np.ascontiguousarray(rows, dtype)
    )
