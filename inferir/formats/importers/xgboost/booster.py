"""From what XGBoost saves to operators: boosters, scikit-learn estimators and files.

A booster object is asked for its UBJSON, so objects and files are read by the same code, and a file needs no XGBoost.
The three ways to ask a model answer differently, and so do ours:

Booster      `prediction` is what Booster.predict gives, from all trees. Where that is the probability of a class
             (binary:logistic), it is the class 0 or 1, and the probabilities are a face of their own; multi:softprob
             likewise.
estimators   up to best_iteration where training stopped early; values equal to `missing` count as missing. A classifier
             answers with labels by its own rule: the answer > 0.5, also where that is a margin (binary:logitraw).
files        as the estimator that wrote the file, if one did (attribute scikit_learn), else as a booster.

Answers are float32. Infinite values are compared like any other; XGBoost refuses them when a DMatrix is made, and takes
them in inplace_predict.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from inferir.errors import UnsupportedModelError
from inferir.formats.importers._builder import Answers, Builder, Rows, class_labels
from inferir.formats.importers.xgboost.categories import encode, stored_categories
from inferir.formats.importers.xgboost.document import Fields, parse
from inferir.formats.importers.xgboost.objectives import LABEL_MARGIN, OBJECTIVES, base_margins
from inferir.formats.importers.xgboost.trees import read_forest
from inferir.formats.spec import Task

__all__ = ["booster", "classifier", "model_file", "ranker", "regressor"]

Array = npt.NDArray[Any]

#: A file that says it has more columns or outputs than this is not believed.
MAX_WIDTH = 1_000_000


@dataclass(frozen=True)
class _Learner:
    """What a document says before its trees are read."""

    version: tuple[int, ...]
    n_columns: int
    n_classes: int
    objective: str
    base: Array
    booster: str
    gradient_booster: Fields
    attributes: Fields
    feature_names: list[str]

    @property
    def outputs(self) -> int:
        return len(self.base)

    @property
    def link(self) -> str:
        return OBJECTIVES[self.objective].link

    @property
    def task(self) -> Task:
        return OBJECTIVES[self.objective].task

    @property
    def multiclass(self) -> bool:
        return self.link in ("softmax", "largest")


@dataclass(frozen=True)
class _Asked:
    """How the model is asked: see the top of this file."""

    estimator: bool
    missing: float = math.nan


# -- what is imported


def booster(estimator: Any, b: Builder, x: Rows) -> Answers:
    """Booster."""
    return _as_booster(_read(bytes(estimator.save_raw("ubj"))), b, x)


def classifier(estimator: Any, b: Builder, x: Rows) -> Answers:
    """XGBClassifier, XGBRFClassifier."""
    learner, asked = _fitted(estimator, b)
    return _as_classifier(learner, asked, b, x, class_labels(estimator.classes_))


def regressor(estimator: Any, b: Builder, x: Rows) -> Answers:
    """XGBRegressor, XGBRFRegressor."""
    return _as_regressor(*_fitted(estimator, b), b, x)


def ranker(estimator: Any, b: Builder, x: Rows) -> Answers:
    """XGBRanker."""
    return replace(regressor(estimator, b, x), task="ranking")


def model_file(data: bytes) -> tuple[Builder, Answers, dict[str, str]]:
    """The model in the bytes of a .json or .ubj file: what reads it, its answers, the framework."""
    learner = _read(data)
    b = Builder(learner.n_columns)
    kind, missing = _saved_estimator(learner.attributes)
    asked = _Asked(True, missing)
    if kind == "classifier":
        answers = _as_classifier(learner, asked, b, b.rows(), tuple(range(max(learner.n_classes, 2))))
    elif kind in ("regressor", "ranker"):
        answers = _as_regressor(learner, asked, b, b.rows())
        answers = replace(answers, task="ranking" if kind == "ranker" else answers.task)
    else:
        answers = _as_booster(learner, b, b.rows())
    return b, answers, {"name": "xgboost", "version": ".".join(map(str, learner.version))}


def _fitted(estimator: Any, b: Builder) -> tuple[_Learner, _Asked]:
    if not estimator.__sklearn_is_fitted__():
        raise b.unsupported(f"{type(estimator).__name__} that is not fitted", "fitted estimators")
    missing = estimator.missing
    if missing is not None and not isinstance(missing, (int, float, np.number)):
        raise b.unsupported(f"missing={missing!r}", "a number")
    asked = _Asked(True, math.nan if missing is None else float(missing))
    return _read(bytes(estimator.get_booster().save_raw("ubj"))), asked


def _saved_estimator(attributes: Fields) -> tuple[str, float]:
    """classifier, regressor, ranker or "" for a booster; and `missing`, which files of before 1.7 keep."""
    if "scikit_learn" not in attributes:
        return "", math.nan
    try:
        saved = json.loads(attributes.text("scikit_learn"))
    except (ValueError, RecursionError):
        saved = None
    if not isinstance(saved, dict):
        raise attributes.error("scikit_learn", "an object in JSON")
    kind, missing = saved.get("_estimator_type", ""), saved.get("missing")
    if isinstance(missing, int) and abs(missing) < 2**64:
        missing = float(missing)
    return str(kind), missing if isinstance(missing, float) else math.nan


def _read(data: bytes) -> _Learner:
    document = parse(data)
    version = tuple(document.array("version", np.int64).tolist())
    if len(version) < 2 or not 1 <= version[0] <= 3:
        raise UnsupportedModelError(f"XGBoost model of version {'.'.join(map(str, version))}; supported: 1 to 3")
    learner = document.object("learner")
    parameters = learner.object("learner_model_param")
    objective = learner.object("objective").text("name")
    if objective not in OBJECTIVES:
        raise UnsupportedModelError(f"XGBoost objective {objective!r}; supported: {', '.join(OBJECTIVES)}")
    n_classes = parameters.integer("num_class", 0, MAX_WIDTH)
    n_targets = parameters.integer("num_target", 0, MAX_WIDTH) if "num_target" in parameters else 1
    outputs = max(n_classes, n_targets, 1)
    if OBJECTIVES[objective].link in ("softmax", "largest") and n_classes < 2:
        raise parameters.error("num_class", "two classes or more")
    score = parameters.numbers("base_score")
    if len(score) not in (1, outputs):
        raise parameters.error("base_score", f"one number or {outputs}")
    if objective == "reg:quantileerror" and outputs > 1 and version >= (3, 4):
        raise UnsupportedModelError(
            "several quantiles of XGBoost 3.4, which may put a row's quantiles in order; supported: those of 2.0 to 3.3"
        )
    gradient_booster = learner.object("gradient_booster")
    names = learner.texts("feature_names") if "feature_names" in learner else []
    return _Learner(
        version=version,
        n_columns=parameters.integer("num_feature", 1, MAX_WIDTH),
        n_classes=n_classes,
        objective=objective,
        base=np.broadcast_to(base_margins(OBJECTIVES[objective], score, version), outputs),
        booster=gradient_booster.text("name"),
        gradient_booster=gradient_booster,
        attributes=learner.object("attributes") if "attributes" in learner else Fields({}, "learner.attributes"),
        feature_names=names,
    )


# -- what is answered


def _as_booster(learner: _Learner, b: Builder, x: Rows) -> Answers:
    if learner.task == "classification":
        return _classes(learner, b, _margins(learner, _Asked(False), b, x), tuple(range(max(learner.n_classes, 2))))
    return _numbers(learner, b, _margins(learner, _Asked(False), b, x))


def _as_regressor(learner: _Learner, asked: _Asked, b: Builder, x: Rows) -> Answers:
    if learner.link == "largest":
        raise b.unsupported("a regressor with objective multi:softmax", "classifiers with it")
    return replace(_numbers(learner, b, _margins(learner, asked, b, x)), task="regression")


def _as_classifier(learner: _Learner, asked: _Asked, b: Builder, x: Rows, classes: tuple[Any, ...]) -> Answers:
    fits = len(classes) == learner.outputs if learner.multiclass else len(classes) == 2 or learner.outputs == 1
    if not fits or (learner.link == "softmax" and len(classes) == 2):
        raise b.unsupported(
            f"a classifier of {len(classes)} classes whose {learner.objective} has {learner.outputs} outputs",
            "binary:logistic for two classes, multi:softprob for more; the booster inside can be converted as well",
        )
    return _classes(learner, b, _margins(learner, asked, b, x), classes if len(classes) > 1 else (0, 1))


def _numbers(learner: _Learner, b: Builder, raw: str) -> Answers:
    """The objective's answer as it is."""
    return Answers(learner.task, _model_type(learner, "regression"), _linked(learner, b, raw), raw=raw)


def _classes(learner: _Learner, b: Builder, raw: str, classes: tuple[Any, ...]) -> Answers:
    """The likeliest of several classes; of two, the second where its answer is above 0.5; a pair per target."""
    model_type = _model_type(learner, "classification")
    if learner.multiclass:
        probabilities = b.op("softmax_stepwise", raw)
        prediction = b.op("argmax", raw if learner.link == "largest" else probabilities)
        return Answers("classification", model_type, prediction, probabilities, raw, classes=classes)
    answer = _linked(learner, b, raw)
    at, threshold = {"sigmoid": (raw, LABEL_MARGIN), "step": (raw, 0.0)}.get(learner.link, (answer, 0.5))
    prediction = b.op("above", at, threshold=threshold)
    pairs = _pairs(b, answer, learner.outputs) if learner.link in ("sigmoid", "step") else None
    several = (classes,) * learner.outputs
    return Answers(
        "classification", model_type, prediction, pairs, raw, classes=several if learner.outputs > 1 else classes
    )


def _pairs(b: Builder, answer: str, outputs: int) -> str:
    """Probabilities of both classes, from that of the second; for several targets side by side."""
    if outputs == 1:
        return b.op("complement", answer)
    columns = [b.op("select", answer, tensors={"columns": np.array([k])}) for k in range(outputs)]
    return b.op("concat", *[b.op("complement", column) for column in columns])


def _linked(learner: _Learner, b: Builder, raw: str) -> str:
    """The objective's answer: PredTransform of src/objective."""
    if learner.link == "identity":
        return raw
    if learner.link == "step":
        return b.op("binarize", raw, threshold=0.0)
    if learner.link == "softmax":
        return b.op("softmax_stepwise", raw)
    return b.op("sigmoid_stepwise" if learner.link == "sigmoid" else "exp", raw)


def _model_type(learner: _Learner, task: str) -> str:
    if learner.booster != "gblinear":
        return "GradientBoosting"
    return "LogisticRegression" if task == "classification" else "LinearRegression"


# -- margins


def _margins(learner: _Learner, asked: _Asked, b: Builder, x: Rows) -> str:
    if x.width != learner.n_columns:
        raise b.unsupported(f"an XGBoost model of {learner.n_columns} columns on {x.width}", "as many columns")
    if x.origins == tuple(range(b.n_columns)):
        b.name_columns(learner.feature_names)
    readers = {"gbtree": _tree_margins, "dart": _tree_margins, "gblinear": _linear_margins}
    if learner.booster not in readers:
        raise b.unsupported(f"XGBoost booster {learner.booster!r}", ", ".join(readers))
    return readers[learner.booster](learner, asked, b, x)


def _rows(learner: _Learner, asked: _Asked, b: Builder, x: Rows, model: Fields) -> tuple[str, Array]:
    """The rows as trees take them, float32 with NaN for what is missing; where each column now stands."""
    known = stored_categories(model, learner.n_columns, learner.version, b)
    value, position = encode(known, b, x) if known else (x.value, np.arange(x.width))
    value = b.op("cast", value, to="f32")
    if asked.missing == asked.missing:
        if known:
            raise b.unsupported(f"missing={asked.missing:g} with category columns, whose codes it would mean", "NaN")
        tensors = {
            "columns": np.arange(x.width), "fill": np.full(x.width, np.nan), "indicators": np.zeros(0, np.int64),
        }  # fmt: skip
        with np.errstate(over="ignore"):
            value = b.op("impute", value, tensors=tensors, missing=float(np.float32(asked.missing)))
    return value, position


def _tree_margins(learner: _Learner, asked: _Asked, b: Builder, x: Rows) -> str:
    outer = learner.gradient_booster
    inner = outer.object("gbtree") if "gbtree" in outer else outer
    model = inner.object("model")
    weights = next((f.array("weight_drop", np.float32) for f in (outer, model) if "weight_drop" in f), None)
    rows, position = _rows(learner, asked, b, x, model)
    iterations = None
    if asked.estimator and "best_iteration" in learner.attributes:
        iterations = learner.attributes.integer("best_iteration", 0, 2**31 - 2) + 1
    in_place = asked.estimator and learner.version < (3, 3)
    forest = read_forest(model, position, learner.base, weights, iterations, in_place)
    return b.op("forest", rows, tensors=forest.tensors(learner.base), **forest.attributes())


def _linear_margins(learner: _Learner, asked: _Asked, b: Builder, x: Rows) -> str:
    """Bias and base first, then one product after the other; what is missing adds nothing (gblinear.cc, Pred).

    The base is that of the first output for all of them, also since there are several (3.1).
    """
    model = learner.gradient_booster.object("model")
    weights = model.array("weights", np.float32, (learner.n_columns + 1) * learner.outputs)
    weights = weights.reshape(learner.n_columns + 1, learner.outputs)
    rows, _ = _rows(learner, asked, b, x, model)
    tensors = {"coef": weights[:-1].T, "intercept": weights[-1] + learner.base[0]}
    return b.op("linear_in_order", rows, tensors=tensors)
