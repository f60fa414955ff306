"""docs/reference/support-matrix.md: what converts, from the importers' tables; what does not and why, from here."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable

from inferir.formats.importers import CLASSES, FILES
from inferir.formats.importers.catboost import model as catboost
from inferir.formats.importers.lightgbm import booster as lightgbm
from inferir.formats.importers.lightgbm.text import VERSIONS
from inferir.formats.importers.onnx.graph import HANDLERS
from inferir.formats.importers.sklearn.neighbors import _METRICS
from inferir.formats.importers.xgboost.objectives import OBJECTIVES
from inferir.operators.distance import WEIGHTS
from inferir.operators.svm import KINDS

_INTRODUCTION = """\
# What converts

`inferir.convert` and `inferir convert` take what is on this page. All else is refused with `E004`, in a message that
says what it was, where it stood (`in step 'model'`), and what is supported. Nothing is converted approximately.

This page is made from the importers' own tables by `docs/tools/build.py`.

## Why something is refused

| reason | example |
|---|---|
| it is code, and a model file holds none | a `FunctionTransformer` with a function, a metric that is a function |
| the saved model lacks something that is needed | CatBoost's hashes of categories without their texts |
| the library's answer depends on more than the row | `pred_early_stop` of LightGBM |
| no operator computes it yet | see [Not converted](#not-converted) |
| nobody has compared it | an objective, loss or version that is not in the lists below |

## Files

A file is told by its first bytes, not by its name. The library that wrote it is not needed; an ONNX file needs the
package `onnx` (`pip install "inferir[import]"`).

| kind | how it is saved |
|---|---|
"""

#: Kind of file -> how one gets it.
_SAVED = {
    "LightGBM text": '`booster.save_model("model.txt")`, `estimator.booster_.save_model("model.txt")`',
    "CatBoost JSON": '`model.save_model("model.json", format="json")`',
    "XGBoost JSON": '`model.save_model("model.json")`',
    "XGBoost UBJSON": '`model.save_model("model.ubj")`',
    "ONNX": 'skl2onnx, onnxmltools, CatBoost\'s `format="onnx"`, and others',
}

#: Importer module of scikit-learn -> heading, and what its classes are refused for.
_SKLEARN: dict[str, tuple[str, tuple[str, ...]]] = {
    "compose": (
        "Putting columns together",
        (
            "a `FunctionTransformer` with a function; without one it passes its input on, and converts",
            "a step behind one that does not transform",
            "a `ColumnTransformer` or `FeatureUnion` that keeps no column",
        ),
    ),
    "preprocess": (
        "Scaling, filling in, choosing columns",
        ("a `MissingIndicator` of another marker than NaN",),
    ),
    "encoders": (
        "Categories",
        (
            "text in a column that was computed; text has to come straight from a column of the input",
            "`None` and NaN as two categories of one column",
            "`None` as a category behind an imputer of NaN, unless the imputer is the step just before",
            "a `TargetEncoder` of a target with more than two classes",
        ),
    ),
    "linear": (
        "Linear models",
        (
            "several labels for each row in one linear classifier; `MultiOutputClassifier` does that",
            "a generalised linear model with another link than identity and log",
        ),
    ),
    "svm": (
        "Support vector machines",
        (
            f"kernels other than {', '.join(KINDS)}: a function, or `precomputed`",
            "`predict_proba` is there if the model was trained with `probability=True`",
        ),
    ),
    "tree": (
        "Trees and forests",
        ("`GradientBoosting...` with an `init` estimator of its own; `None` and `'zero'` convert",),
    ),
    "hist": ("Histogram gradient boosting", ("losses of your own",)),
    "ensemble": (
        "Estimators made of estimators",
        (
            "parts that are not on this page, of scikit-learn or another library",
            "an `AdaBoostClassifier` of a single class",
            "calibration by another method than `sigmoid` and `isotonic`",
            "calibration of three classes or more where a fold has not seen every class",
        ),
    ),
    "neighbors": (
        "Neighbours and clusters",
        (
            f"metrics other than {', '.join(_METRICS)}",
            f"weights other than {' and '.join(WEIGHTS)}",
        ),
    ),
    "naive_bayes": ("Naive Bayes", ()),
    "projection": ("Projections", ()),
    "network": ("Neural networks", ()),
}

#: Often asked for, and not converted; the page cannot be made once one of them is.
_NOT_CONVERTED = """
CountVectorizer TfidfVectorizer HashingVectorizer FeatureHasher DictVectorizer: columns are numbers and categories
KNNImputer IterativeImputer: fill in before, or train with a `SimpleImputer`
SplineTransformer KernelPCA Nystroem RBFSampler NMF FastICA PLSRegression: no operator yet
StackingClassifier StackingRegressor ClassifierChain OneVsRestClassifier OneVsOneClassifier \
TransformedTargetRegressor: no importer yet
QuadraticDiscriminantAnalysis GaussianProcessClassifier GaussianProcessRegressor KernelRidge RadiusNeighborsClassifier \
LocalOutlierFactor EllipticEnvelope IsotonicRegression GaussianMixture: no operator or importer yet
GridSearchCV RandomizedSearchCV: convert their `best_estimator_`
DBSCAN AgglomerativeClustering SpectralClustering TSNE: they cannot place a new row themselves
"""

_XGBOOST = """\
Versions 1 to 3, JSON and UBJSON; boosters `gbtree` (also with vector leaves), `dart` and `gblinear`.

Refused:

- category columns together with `missing=` set to a number
- category names outside ASCII in models of XGBoost before 3.4, which may have cut them
- two categories of one column with the same text
- `reg:quantileerror` with several quantiles, trained with XGBoost 3.4
- a classifier whose objective has not one output for two classes, or one for each of more
- the old binary format (files that begin with `binf`)

A model file does not hold the labels of a classifier: from a file, classes are 0, 1, ...
"""

_LIGHTGBM = """\
Model text of versions {versions}, by way of which objects are converted too. Numbers and categories, all three kinds of
missing values, random forest mode, DART, linear trees.

Refused:

- `pred_early_stop=True`
- a pandas frame of training whose category columns were not just those that LightGBM took as categorical
- a key in the text that this version does not know

A model text does not hold the labels of a classifier: from a file or a `Booster`, classes are 0, 1, ...
"""

_CATBOOST = """\
Symmetric and other trees, numbers, and categories that were one-hot encoded (`one_hot_max_size` says up to how many
categories that is).

Refused:

- categories that CatBoost turned into statistics of the target, text and embedding features
- one-hot categories of which the model keeps only hashes: save with `save_model(path, format="json", pool=train_pool)`
- CatBoost's binary format: save with `format="json"`
"""

_ONNX = """\
Graphs of the operators below, with one label, one matrix of floats, or both for outputs. What the outputs are is told
by their kind: integers or text, one a row, are labels; maps, or floats beside labels, are probabilities or scores;
floats alone are a prediction or transformed rows.

Refused:

- inputs other than `[N]` and `[N, columns]`, or without a fixed number of columns
- what joins, cuts or picks along the rows: an answer may depend on its own row only
- data in another file, sparse tensors, functions of the graph's own
"""


def page() -> str:
    """The page's text."""
    parts = [_INTRODUCTION + "".join(f"| {kind} | {_SAVED[kind]} |\n" for kind in FILES)]
    parts.append("## scikit-learn\n")
    for module, (title, refused) in _SKLEARN.items():
        parts.append(_section(f"### {title}", f"sklearn.{module}", refused))
    parts.append(_library("XGBoost", "xgboost", _XGBOOST, [("Objectives", OBJECTIVES)]))
    links = [name for name in lightgbm._LINKS if name != "custom"]
    text = _LIGHTGBM.format(versions=" and ".join(VERSIONS))
    parts.append(_library("LightGBM", "lightgbm", text, [("Objectives, and your own", links)]))
    losses = [
        *catboost._BINARY, *catboost._MULTICLASS, *catboost._MULTILABEL, *catboost._REGRESSION, *catboost._RANKING,
    ]  # fmt: skip
    parts.append(_library("CatBoost", "catboost", _CATBOOST, [("Losses, and your own", losses)]))
    parts.append(_onnx())
    parts.append(_not_converted())
    _check_complete()
    return "\n".join(parts)


def _classes(prefix: str) -> list[str]:
    return [key.partition(".")[2] for key, path in CLASSES.items() if path.startswith(prefix)]


def _names(names: Iterable[str]) -> str:
    return textwrap.fill(", ".join(f"`{name}`" for name in names), 120, break_long_words=False) + "\n"


def _section(heading: str, prefix: str, refused: Iterable[str]) -> str:
    text = f"{heading}\n\n{_names(_classes(prefix + ':'))}"
    bullets = "".join(f"- {reason}\n" for reason in refused)
    return text + (f"\nRefused, or to know:\n\n{bullets}" if bullets else "")


def _library(title: str, package: str, text: str, lists: list[tuple[str, Iterable[str]]]) -> str:
    named = "".join(f"\n{heading}:\n\n{_names(names)}" for heading, names in lists)
    return f"## {title}\n\n{_names(_classes(package + '.'))}\n{text}{named}"


def _onnx() -> str:
    domains = sorted({domain for domain, _ in HANDLERS})
    lists = "".join(
        f"\nOperators of `{domain or 'ai.onnx'}`:\n\n{_names(sorted(op for known, op in HANDLERS if known == domain))}"
        for domain in domains
    )
    return f"## ONNX\n\n{_ONNX}{lists}"


def _not_converted() -> str:
    rows = ""
    for line in _NOT_CONVERTED.strip().splitlines():
        names, _, reason = line.partition(": ")
        wrong = [name for name in names.split() if f"sklearn.{name}" in CLASSES]
        assert not wrong, f"{wrong} do convert"
        rows += f"| {', '.join(f'`{name}`' for name in names.split())} | {reason} |\n"
    return (
        "## Not converted\n\nAmong the classes of scikit-learn that are often asked for. This list is checked: a class "
        f"that converts cannot be on it.\n\n| classes | |\n|---|---|\n{rows}"
    )


def _check_complete() -> None:
    """Every class has its section."""
    modules = {path.partition(":")[0].partition(".")[2] for path in CLASSES.values() if path.startswith("sklearn.")}
    assert modules == set(_SKLEARN), modules ^ set(_SKLEARN)
