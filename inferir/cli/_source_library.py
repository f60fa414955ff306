"""What the library that trained a model answers, for `inferir check`.

    objects (from pickles)              predict, predict_proba, decision_function, transform, as they have them; the
                                        margins of boosters through the argument that each library has for them
    XGBoost .json .ubj, LightGBM .txt,  loaded by the library itself, so that nothing of ours is between the file and
    CatBoost .cbm, ONNX .onnx           the answer it is compared with

CatBoost's .json is refused: CatBoost 1.2 reads some of its leaves back one unit in the last place off, so the model it
loads is not the one that was saved. Ours is, and the .cbm file of the same model shows it.

The libraries are imported where they are used: a user has the one that the model came from.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from inferir.errors import BackendError, InvalidInputError
from inferir.model import Model

__all__ = ["source_answers"]

Answers = dict[str, Any]


def source_answers(source: Any, model: Model, frame: Any) -> Answers:
    """Face -> answer, of those that the source has. `frame` holds the model's columns, in its order.

    source  a fitted object, or the path of a model file.

    Raises BackendError (E009) if the library is not installed, InvalidInputError (E006) if `source` is neither, or the
    library refuses the rows.
    """
    if isinstance(source, str):
        source = _load(source, model)
    package = type(source).__module__.partition(".")[0]
    if package in ("xgboost", "lightgbm"):
        frame = _with_categories(frame, model)
    ask = _BOOSTERS.get(package, _estimator) if type(source).__name__ == "Booster" else _estimator
    if package == "onnxruntime":
        ask = _onnx
    try:
        return ask(source, model, frame)
    except Exception as error:  # whatever a library raises when rows are not as it wants them
        raise InvalidInputError(f"{package} cannot answer these rows: {type(error).__name__}: {error}") from error


def _with_categories(frame: Any, model: Model) -> Any:
    """The frame as boosters want it: their category columns of pandas' own kind, with the model's categories."""
    pandas = _library("pandas")
    kinds = {}
    for name, column in zip(frame.columns, model.columns, strict=True):
        if column.categories:
            known = pandas.Series(column.categories, dtype=object)
            kinds[name] = pandas.CategoricalDtype(known.astype(frame[name].dtype))
    return frame.astype(kinds)


# -- files


def _load(path: str, model: Model) -> Any:
    suffix = os.path.splitext(path)[1].lower()
    framework = str(model.spec.framework.get("name", "")).lower()
    library = _LIBRARIES.get(suffix)
    if suffix == ".json" and "catboost" in framework:
        raise InvalidInputError(
            f"{path}: CatBoost does not read its own JSON to the last digit; compare with the model saved as .cbm"
        )
    if suffix == ".json":
        library = "xgboost"
    if library is None:
        known = ", ".join([".json", *_LIBRARIES])
        raise InvalidInputError(f"{path}: expected a pickle, or a model file that ends in {known}")
    return _LOADERS[library](path, suffix)


def _library(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise BackendError(f"comparing with {name} needs it, and {error.name!r} is not installed") from error


def _load_xgboost(path: str, suffix: str) -> Any:
    booster = _library("xgboost").Booster()
    booster.load_model(path)
    return booster


def _load_lightgbm(path: str, suffix: str) -> Any:
    return _library("lightgbm").Booster(model_file=path)


def _load_catboost(path: str, suffix: str) -> Any:
    return _library("catboost").CatBoost().load_model(path, format=suffix.removeprefix("."))


def _load_onnx(path: str, suffix: str) -> Any:
    return _library("onnxruntime").InferenceSession(path, providers=["CPUExecutionProvider"])


_LIBRARIES: Mapping[str, str] = {".ubj": "xgboost", ".txt": "lightgbm", ".cbm": "catboost", ".onnx": "onnxruntime"}
_LOADERS: Mapping[str, Callable[[str, str], Any]] = {
    "xgboost": _load_xgboost,
    "lightgbm": _load_lightgbm,
    "catboost": _load_catboost,
    "onnxruntime": _load_onnx,
}

# -- objects


def _estimator(estimator: Any, model: Model, frame: Any) -> Answers:
    """Anything with scikit-learn's methods. An estimator that was fitted without column names gets none."""
    rows = frame if model.named_columns else frame.to_numpy()
    answers: Answers = {}
    package = type(estimator).__module__.partition(".")[0]
    for face, method in _METHODS.items():
        if face in model.faces and hasattr(estimator, method):
            answers[face] = getattr(estimator, method)(rows)
    if "raw" in model.faces and package in _MARGIN:
        answers["raw"] = estimator.predict(rows, **_MARGIN[package])
    if "probabilities" in answers and model.task != "classification":
        del answers["probabilities"]
    if package == "catboost" and model.task == "classification":
        answers["prediction"] = estimator.predict(rows, prediction_type="Class")
        answers["probabilities"] = estimator.predict(rows, prediction_type="Probability")
    return answers


_METHODS = {
    "prediction": "predict",
    "probabilities": "predict_proba",
    "raw": "decision_function",
    "transformed": "transform",
}

#: Package -> the arguments with which its `predict` gives margins.
_MARGIN: Mapping[str, Mapping[str, Any]] = {
    "xgboost": {"output_margin": True},
    "lightgbm": {"raw_score": True},
    "catboost": {"prediction_type": "RawFormulaVal"},
}


def _xgboost_booster(booster: Any, model: Model, frame: Any) -> Answers:
    rows = frame if booster.feature_names else frame.to_numpy()
    matrix = _library("xgboost").DMatrix(rows, enable_categorical=True)
    return _booster(model, booster.predict(matrix), booster.predict(matrix, output_margin=True))


def _lightgbm_booster(booster: Any, model: Model, frame: Any) -> Answers:
    return _booster(model, booster.predict(frame), booster.predict(frame, raw_score=True))


def _booster(model: Model, predicted: Any, raw: Any) -> Answers:
    """A booster's one answer is probabilities or numbers, by its objective; of two classes only the second's.

    The label is that of the largest probability, as with the libraries' own classifiers.
    """
    if model.task != "classification":
        return {"prediction": predicted, "raw": raw}
    probabilities = np.column_stack([1 - predicted, predicted]) if predicted.ndim == 1 else predicted
    labels = np.array(model.classes)[probabilities.argmax(axis=1)]
    return {"prediction": labels, "probabilities": probabilities, "raw": raw}


_BOOSTERS: Mapping[str, Callable[[Any, Model, Any], Answers]] = {
    "xgboost": _xgboost_booster,
    "lightgbm": _lightgbm_booster,
}


def _onnx(session: Any, model: Model, frame: Any) -> Answers:
    """One input for all columns, or one each. Of a classifier's two outputs the first is the label."""
    inputs = session.get_inputs()
    if len(inputs) == 1:
        given = {inputs[0].name: frame.to_numpy(_onnx_dtype(inputs[0].type))}
    else:
        given = {i.name: frame[[i.name]].to_numpy(_onnx_dtype(i.type)) for i in inputs}
    outputs = session.run(None, given)
    if model.task == "classification":
        scores = outputs[1] if len(outputs) > 1 else None
        if isinstance(scores, list):  # ZipMap: a dict of class -> probability for each row
            scores = np.array([[row[label] for label in model.classes] for row in scores])
        return {"prediction": outputs[0]} | ({} if scores is None else {"probabilities": scores})
    face = "prediction" if "prediction" in model.faces else "transformed"
    return {face: outputs[0]}


def _onnx_dtype(kind: str) -> Any:
    names = {
        "float": "float32",
        "double": "float64",
        "int64": "int64",
        "int32": "int32",
        "bool": "bool",
        "string": "object",
    }
    return names[kind.removeprefix("tensor(").removesuffix(")")]
