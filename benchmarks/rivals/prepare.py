"""python -m benchmarks.rivals.prepare [WORD...]: train the models of cases whose key has one of the words, or all.

Each gets a folder under build/rivals/cases with the estimator, the library's own file, `.apr`, ONNX where a converter
knows it, and 100,000 rows. What is there is not made again.
"""

from __future__ import annotations

import json
import pickle
import shutil
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

import inferir
from benchmarks.rivals.cases import CASES, Case
from benchmarks.rivals.subject import FOLDER

__all__ = ["prepare"]

_MOST_ROWS = 100_000


def _native(case: Case, fitted: Any, folder: Path) -> None:
    if case.library == "xgboost":
        fitted.get_booster().save_model(folder / "model.json")
    elif case.library == "lightgbm":
        fitted.booster_.save_model(folder / "model.txt")
    elif case.library == "catboost":
        fitted.save_model(str(folder / "model.cbm"))


def _graph(case: Case, fitted: Any, dtype: Any) -> bytes:
    if case.library == "sklearn":
        from skl2onnx import to_onnx

        options: Any = {id(fitted): {"zipmap": False}} if case.ask == "probabilities" else None
        return to_onnx(fitted, np.zeros((1, case.columns), dtype), options=options).SerializeToString()  # type: ignore[no-any-return]
    import onnxmltools
    from onnxmltools.convert.common.data_types import FloatTensorType

    types = [("rows", FloatTensorType([None, case.columns]))]
    if case.library == "xgboost":
        return onnxmltools.convert_xgboost(fitted, initial_types=types).SerializeToString()  # type: ignore[no-any-return]
    return onnxmltools.convert_lightgbm(fitted, initial_types=types, zipmap=False).SerializeToString()  # type: ignore[no-any-return]


def _without_zipmap(fitted: Any, path: Path) -> None:
    """CatBoost's own ONNX ends in a dictionary for each row, which no fast caller would want."""
    import onnx

    fitted.save_model(str(path), format="onnx")
    graph = onnx.load(path)
    (zipmap,) = (node for node in graph.graph.node if node.op_type == "ZipMap")
    probabilities = onnx.helper.make_tensor_value_info(zipmap.input[0], onnx.TensorProto.FLOAT, [None, 2])
    graph.graph.node.remove(zipmap)
    graph.graph.output[1].CopyFrom(probabilities)
    onnx.save(graph, path)


def _onnx(case: Case, fitted: Any, folder: Path) -> None:
    if case.ask == "contributions":
        return
    if case.library == "catboost":
        _without_zipmap(fitted, folder / "model.onnx")
        return
    import onnxruntime

    for dtype in dict.fromkeys((case.dtype, np.float32)):
        try:
            graph = _graph(case, fitted, dtype)
            onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
        except Exception as error:  # two converters and a runtime have a dozen exceptions for "not in double"
            sys.stderr.write(f"{case.key}: no ONNX in {np.dtype(dtype).name}: {str(error)[:200]}\n")
            continue
        (folder / "model.onnx").write_bytes(graph)
        return


def prepare(case: Case) -> None:
    """Train and write, whole or not at all."""
    done, folder = FOLDER / "cases" / case.key, FOLDER / "cases" / f"{case.key}.new"
    if done.is_dir():
        return
    start = time.perf_counter()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    rows, classes = case.make(case.training_rows, 1)
    with threadpool_limits(1):
        fitted = case.estimator().fit(rows, classes)
    with (folder / "estimator.pickle").open("wb") as file:
        pickle.dump(fitted, file)
    np.save(folder / "training_rows.npy", rows)
    np.save(folder / "training_classes.npy", classes)
    np.save(folder / "rows.npy", case.make(_MOST_ROWS, 2)[0])
    _native(case, fitted, folder)
    inferir.convert(fitted).save(folder / "model.apr")
    _onnx(case, fitted, folder)
    facts = {
        "library": case.library,
        "ask": case.ask,
        "columns": case.columns,
        "dtype": np.dtype(case.dtype).name,
        "is_tree": case.is_tree,
    }
    (folder / "facts.json").write_text(json.dumps(facts))
    folder.rename(done)
    sys.stdout.write(f"{case.key}: {time.perf_counter() - start:.0f} s\n")
    sys.stdout.flush()


def main() -> None:
    warnings.simplefilter("ignore")
    words = sys.argv[1:] or [""]
    for case in CASES.values():
        if any(word in case.key for word in words):
            prepare(case)


if __name__ == "__main__":
    main()
