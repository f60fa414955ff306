"""Fuzz a model's words and numbers: `python tests/fuzz/fuzz_model.py [count] [seed]`, from the root of the project.

`fuzz_apr.py` breaks bytes; this breaks what they say: a tensor's values, shape or dtype, an operator's attributes or
inputs, in models of every family, written as sound files. Kernels index without looking, so whatever passes the reader
and the plan must be safe to run.

The law: `load` gives a model or a FormatError; the model's answers are arrays or InferirErrors. Nothing else, no crash.
"""

from __future__ import annotations

import random
import sys
import time
import warnings
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))  # as a script, without installing

import inferir
from inferir.errors import FormatError, InferirError, InvalidInputError
from inferir.formats.spec import DTYPES, ModelSpec, OperatorSpec, TensorSpec
from inferir.operators import OPERATORS
from inferir.prepare import prepare

CODES = {"u8": "u1", "u16": "u2", "i32": "i4", "u32": "u4", "i64": "i8", "f32": "f4", "f64": "f8"}
INTEGERS = [0, 1, -1, 2, 3, 7, 31, 32, 127, 128, 255, 256, 1000, 2**15, 2**20, 2**31 - 1, -(2**31), 2**62, -(2**63)]
FLOATS = [0.0, -0.0, 1.0, -1.0, 0.5, 1e-300, 1e300, np.nan, np.inf, -np.inf, 2**31, -1.5, 5e-324]
VALUES: list[Any] = [
    None,
    True,
    False,
    "",
    "f32",
    "f64",
    "refuse",
    "value",
    "box",
    "ball",
    "l1",
    [],
    {},
    *INTEGERS,
    *FLOATS,
]


def models() -> list[ModelSpec]:
    """Small models of scikit-learn that use most operators between them; forests with and without their tables."""
    from sklearn import preprocessing as pp
    from sklearn.calibration import CalibratedClassifierCV
    from sklearn.cluster import KMeans
    from sklearn.datasets import load_wine
    from sklearn.decomposition import PCA
    from sklearn.ensemble import (
        AdaBoostRegressor,
        HistGradientBoostingClassifier,
        IsolationForest,
        RandomForestClassifier,
        VotingClassifier,
    )
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.naive_bayes import CategoricalNB, GaussianNB
    from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.svm import SVC
    from sklearn.tree import DecisionTreeClassifier

    x, y = load_wine(return_X_y=True)
    x, y = pp.StandardScaler().fit_transform(x)[::3, :4], y[::3]
    codes = np.abs(np.round(x))
    linear = LogisticRegression(max_iter=20)
    estimators: list[tuple[Any, Any]] = [
        (RandomForestClassifier(3, random_state=0), x),
        (DecisionTreeClassifier(random_state=0), x),
        (HistGradientBoostingClassifier(max_iter=3, categorical_features=[1]), np.c_[x[:, 0], codes[:, 1:]]),
        (IsolationForest(n_estimators=3), x),
        (AdaBoostRegressor(n_estimators=3), x),
        (KNeighborsClassifier(), x),
        (KNeighborsRegressor(weights="distance", algorithm="brute", p=3), x),
        (KMeans(3, n_init=1), x),
        (SVC(), x),
        (SVC(kernel="poly", probability=False), x),
        (GaussianNB(), x),
        (CategoricalNB(), codes),
        (PCA(2), x),
        (MLPClassifier((4,), activation="tanh", max_iter=5), x),
        (VotingClassifier([("a", linear), ("b", GaussianNB())]), x),
        (CalibratedClassifierCV(GaussianNB(), method="isotonic", cv=2), x),
        (make_pipeline(SimpleImputer(add_indicator=True), pp.PolynomialFeatures(2), pp.MinMaxScaler(), linear), x),
        (make_pipeline(pp.OneHotEncoder(handle_unknown="ignore"), linear), codes),
        (make_pipeline(pp.OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1), linear), codes),
        (make_pipeline(pp.QuantileTransformer(n_quantiles=9), pp.PowerTransformer(), pp.Normalizer(), linear), x),
        (pp.KBinsDiscretizer(3, encode="ordinal", strategy="uniform"), x),
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        specs = [inferir.convert(estimator.fit(rows, y)).spec for estimator, rows in estimators]
        return [*specs, *(prepare(spec, fewest_nodes=0) for spec in specs[:5])]


def _tensor(spec: ModelSpec, rng: random.Random) -> ModelSpec:
    name = rng.choice(sorted(spec.tensors))
    tensor = spec.tensors[name]
    array = np.frombuffer(tensor.data, CODES[tensor.dtype]).reshape(tensor.shape).copy()
    with np.errstate(all="ignore"):
        match rng.randrange(6):
            case 0 | 1 | 2 if array.size:
                for _ in range(rng.choice([1, 1, 1, 3, array.size])):
                    value = rng.choice(INTEGERS if array.dtype.kind in "iu" else FLOATS)
                    if array.dtype.kind in "iu":
                        value = int(np.array(value).astype(array.dtype))
                    array.reshape(-1)[rng.randrange(array.size)] = value
            case 3:
                array = array[: rng.randrange(len(array) + 1)]
            case 4:
                array = np.concatenate([array, array[: rng.randrange(len(array) + 1)]])
            case _:
                other = rng.choice(sorted(DTYPES))
                array = array.astype(CODES[other])
    dtype = next(code for code, kind in CODES.items() if np.dtype(kind) == array.dtype)
    data = memoryview(np.ascontiguousarray(array).reshape(-1).view(np.uint8)) if array.size else memoryview(b"")
    return replace(spec, tensors={**spec.tensors, name: TensorSpec(name, dtype, array.shape, data)})


def _operator(spec: ModelSpec, rng: random.Random) -> ModelSpec:
    at = rng.randrange(len(spec.operators))
    operator = spec.operators[at]
    match rng.randrange(5):
        case 0 if operator.attributes:
            name = rng.choice(sorted(operator.attributes))
            changed = replace(operator, attributes={**operator.attributes, name: rng.choice(VALUES)})
        case 1 if operator.tensors:
            role = rng.choice(sorted(operator.tensors))
            changed = replace(operator, tensors={**operator.tensors, role: rng.choice(sorted(spec.tensors))})
        case 2:
            known = ["input", *[o.output for o in spec.operators[:at]]]
            changed = replace(operator, inputs=tuple(rng.choice(known) for _ in range(rng.randrange(1, 4))))
        case 3:
            changed = replace(operator, op=rng.choice(sorted(OPERATORS)))
        case _:
            name = rng.choice(["special", "metric", "k", "threshold", "unknown", "scale"])
            changed = replace(operator, attributes={**operator.attributes, name: rng.choice(VALUES)})
    operators: list[OperatorSpec] = [*spec.operators[:at], changed, *spec.operators[at + 1 :]]
    return replace(spec, operators=tuple(operators))


def _columns(spec: ModelSpec, rng: random.Random) -> ModelSpec:
    return replace(spec, columns=spec.columns[: rng.randrange(1, len(spec.columns) + 1)])


def broken(spec: ModelSpec, rng: random.Random) -> ModelSpec:
    """The model with one to three things wrong with it."""
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        spec = rng.choice([_tensor, _tensor, _tensor, _operator, _operator, _columns])(spec, rng)
    return spec


def judge(spec: ModelSpec, rows: Any, backend: str) -> str:
    """What came of it; raises what breaks the law."""
    from inferir.formats.apr import to_bytes

    try:
        data = to_bytes(spec)
    except (FormatError, InvalidInputError) as error:  # the writer refuses what no file can hold
        return f"not written: {error.code}"
    try:
        model = inferir.load(data, backend=backend, threads=1)
    except FormatError as error:
        return f"refused: {error.code}"
    width = len(spec.columns)
    outcomes = set()
    for asked in (rows[:, :width], rows[:1, :width]):
        for face, ask in (
            ("prediction", model.predict),
            ("probabilities", model.predict_proba),
            ("raw", model.raw),
            ("transformed", model.transform),
        ):
            if face in model.faces:
                try:
                    ask(asked)
                    outcomes.add("answered")
                except InferirError as error:
                    outcomes.add(f"answered {error.code}")
    return ", ".join(sorted(outcomes))


def run(count: int, seed: int, backend: str = "jit") -> Counter[str]:
    """Judge `count` broken models; the same count and seed give the same ones."""
    specs, rng = models(), random.Random(seed)
    hard = [0.0, -0.0, 1.0, -1.0, 2.0, 3.0, 1e9, -1e9, np.nan, np.inf, -np.inf, 5e-324, 1e308]
    rows = np.random.default_rng(seed).choice(hard, (24, 16))
    rows[::2] = np.random.default_rng(seed).standard_normal((12, 16))
    found: Counter[str] = Counter()
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        for number in range(count):
            spec = broken(rng.choice(specs), rng)
            try:
                found[judge(spec, rows, backend)] += 1
            except Exception as error:
                raise AssertionError(f"input {number} of seed {seed}: {spec.operators}") from error
    return found


if __name__ == "__main__":
    n, start = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000, time.perf_counter()
    for outcome, times in run(n, int(sys.argv[2]) if len(sys.argv) > 2 else 0).most_common():
        sys.stdout.write(f"{times:8}  {outcome}\n")
    sys.stdout.write(f"{n} models in {time.perf_counter() - start:.1f} s\n")
