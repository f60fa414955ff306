"""Preprocessing that disappears into a forest: routing stays as it was, bit for bit, or the step runs."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from catboost import CatBoostClassifier
from hypothesis import given
from hypothesis import strategies as st
from lightgbm import LGBMClassifier
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_wine
from sklearn.ensemble import (
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
)
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MaxAbsScaler, MinMaxScaler, PowerTransformer, RobustScaler, StandardScaler
from xgboost import XGBClassifier

import inferir
from inferir.errors import InvalidInputError
from inferir.formats.importers._builder import Answers, Builder
from inferir.formats.importers._forest import CATEGORICAL, DEFAULT_LEFT, ZERO_MISSING, Forest, Tree
from inferir.formats.spec import ModelSpec
from inferir.kernels import available, select
from inferir.operators import tree as operators
from inferir.plan import Plan
from inferir.prepare import differing, prepare
from tests.kernels.twins import examples

ROWS, LABELS = load_wine(return_X_y=True)
N_COLUMNS = 3

#: What arithmetic is likely to get wrong.
HARD = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 5e-324, -1e-310, 1e-45, 1e-36, 1.0, -1.0, 3.4e38, 3.5e38, -1e300])


def plan_of(spec: ModelSpec, dtype: str = "f64", backend: str = "auto", *, fuses: bool = True) -> Plan:
    with pytest.MonkeyPatch.context() as patch:
        if not fuses:
            patch.setattr(operators, "fused", lambda b, x, codes, widths: (x, codes))
        return Plan(spec, select(backend), dtype)


def kernels_of(plan: Plan) -> list[str]:
    face = next(face for face in ("raw", "probabilities", "prediction") if face in plan.programs)
    return [step.kernel for step in plan.programs[face].steps]


def cuts_of(plan: Plan) -> Any:
    """Finite thresholds that rows meet."""
    program = plan.programs["prediction"]
    step = next(step for step in program.steps if step.kernel.startswith("forest_quantized"))
    cuts = plan.arrays[step.arguments[2].number].ravel()
    return cuts[np.isfinite(cuts)]


def stumps(
    columns: Sequence[int],
    thresholds: Any,
    preprocess: Callable[[Builder], str],
    *,
    compare: str = "f64",
    flags: int = 0,
) -> ModelSpec:
    """A tree for each threshold: tree t adds 2**t where the row goes right. So the sum tells all of them."""
    forest = Forest(compare, "f64")
    for t, (column, threshold) in enumerate(zip(columns, thresholds, strict=True)):
        number = forest.add_set([1, 3]) if flags & CATEGORICAL else threshold
        forest.trees.append(
            Tree(
                *(np.array([child, -1, -1]) for child in (1, 2)),
                split_index=np.array([column, 0, 0]),
                threshold=np.array([number, 0, 0], np.float64),
                flags=np.array([flags or (t % 2) * DEFAULT_LEFT, 0, 0]),
                value=np.array([[0.0], [0.0], [2.0**t]]),
            )
        )
    builder = Builder(N_COLUMNS)
    raw = builder.op("forest", preprocess(builder), tensors=forest.tensors(np.zeros(1)), **forest.attributes())
    answers = Answers("regression", "GradientBoosting", raw)
    return builder.spec(answers, name="t", version="1", framework={})


def scaled(b: Builder, mean: Any = (0.5, -2.0, 1e3), scale: Any = (2.0, 0.1, 7.0), value: str = "input") -> str:
    return b.op("scale", value, tensors={"mean": np.array(mean), "scale": np.array(scale)})


def between(values: Any, dtype: Any) -> Any:
    """Each value, and the floats next to it, in every column."""
    values = np.asarray(values, dtype)
    with np.errstate(over="ignore"):
        near = np.concatenate([values, np.nextafter(values, dtype(np.inf)), np.nextafter(values, dtype(-np.inf))])
        column = np.concatenate([near, HARD.astype(dtype)])
    return np.ascontiguousarray(np.stack([np.roll(column, k) for k in range(N_COLUMNS)], axis=1))


# -- against the steps themselves


def assert_same(spec: ModelSpec, dtype: str, backend: str, rows: Any) -> Plan:
    fused, plain = (plan_of(spec, dtype, backend, fuses=fuses) for fuses in (True, False))
    for face in fused.faces:
        np.testing.assert_array_equal(fused.run(face, rows), plain.run(face, rows))
        np.testing.assert_array_equal(fused.run(face, rows[:1]), plain.run(face, rows[:1]))
    return fused


magnitudes = st.floats(5e-324, 1e300, allow_nan=False) | st.sampled_from([1.0, 0.1, 1e-310, 3e-39, 1e30])
constants = st.floats(allow_nan=False, allow_infinity=False) | st.floats(-10, 10)


@given(
    mean=st.tuples(*[constants] * N_COLUMNS),
    scale=st.tuples(*[magnitudes] * N_COLUMNS),
    thresholds=st.lists(st.floats(width=32, allow_nan=False), min_size=1, max_size=12),
    compare=st.sampled_from(["f32", "f64"]),
    dtype=st.sampled_from(["f32", "f64"]),
    kind=st.sampled_from(["scale", "min_max", "both"]),
)
@examples(60)
def test_thresholds_move_to_where_the_function_passes_them(
    mean: Any, scale: Any, thresholds: list[float], compare: str, dtype: str, kind: str
) -> None:
    def preprocess(b: Builder) -> str:
        value = scaled(b, mean, scale) if kind != "min_max" else "input"
        if kind == "scale":
            return value
        tensors = {"scale": np.array(scale[::-1]), "offset": np.array(mean[::-1])}
        return b.op("min_max", value, tensors=tensors, low=-np.inf, high=2.0)

    columns = [t % N_COLUMNS for t in range(len(thresholds))]
    spec = stumps(columns, thresholds, preprocess, compare=compare)
    width = {"f32": np.float32, "f64": np.float64}[dtype]
    fused = plan_of(spec, dtype)
    near = cuts_of(fused) if "scale" not in "".join(kernels_of(fused)) else []
    with np.errstate(over="ignore"):
        rows = between(np.concatenate([near, thresholds, np.array(thresholds) * scale[0] + mean[0]]), width)
    assert_same(spec, dtype, "auto", rows)


@pytest.mark.parametrize("backend", available())
@pytest.mark.parametrize("dtype", ["f32", "f64"])
@pytest.mark.parametrize("compare", ["f32", "f64"])
def test_rows_at_and_next_to_moved_thresholds(backend: str, dtype: str, compare: str) -> None:
    thresholds = np.random.default_rng(0).normal(size=40).astype(np.float32)
    spec = stumps([t % N_COLUMNS for t in range(40)], thresholds, scaled, compare=compare)
    fused = plan_of(spec, dtype, backend)
    assert kernels_of(fused) == [f"forest_quantized_{dtype}_f64"]
    assert len(cuts_of(fused)) >= 40
    rows = between(cuts_of(fused), {"f32": np.float32, "f64": np.float64}[dtype])
    assert_same(spec, dtype, backend, rows)


def test_a_threshold_is_moved_to_the_last_value_below_it() -> None:
    spec = stumps([0], [1.0], lambda b: scaled(b, (0.1, 0, 0), (3.0, 1, 1)))
    (cut,) = cuts_of(plan_of(spec))
    assert (cut - 0.1) / 3.0 <= 1.0 < (np.nextafter(cut, np.inf) - 0.1) / 3.0


def test_many_thresholds_in_several_planes() -> None:
    random = np.random.default_rng(3)
    spec = stumps([0] * 52, random.normal(size=52), scaled)
    rows = between(cuts_of(plan_of(spec)), np.float64)
    assert_same(spec, "f64", "auto", rows)
    random_forest = RandomForestClassifier(20, max_depth=7, random_state=0)
    x = random.normal(size=(1500, N_COLUMNS))
    large = inferir.convert(make_pipeline(StandardScaler(), random_forest).fit(x, x[:, 0] > x[:, 1] * x[:, 2])).spec
    rows = between(cuts_of(plan_of(large, "f32"))[:3000], np.float32)
    plan = assert_same(large, "f32", "auto", rows[~np.isinf(rows).any(axis=1)])
    assert kernels_of(plan)[:2] == ["check_finite_f32", "forest_quantized_f32_f64"]


# -- against the libraries

HIST = functools.partial(HistGradientBoostingClassifier, max_iter=8, random_state=0)
FORESTS: dict[str, Callable[[], Any]] = {
    "random forest": lambda: RandomForestClassifier(10, random_state=0),
    "gradient boosting": lambda: GradientBoostingClassifier(n_estimators=8, random_state=0),
    "hist": HIST,
    "xgboost": lambda: XGBClassifier(n_estimators=8),
    "catboost": lambda: CatBoostClassifier(iterations=8, verbose=0, allow_writing_files=False),
    "lightgbm": lambda: LGBMClassifier(n_estimators=8, verbose=-1),
}
SCALERS: dict[str, Callable[[], list[Any]]] = {
    "standard": lambda: [StandardScaler()],
    "min-max": lambda: [MinMaxScaler(clip=True)],
    "robust": lambda: [SimpleImputer(), RobustScaler(), MaxAbsScaler()],
    "columns": lambda: [
        ColumnTransformer(
            [
                ("a", StandardScaler(), [0, 1, 2, 3]),
                ("b", make_pipeline(SimpleImputer(strategy="median"), MinMaxScaler()), [9, 5, 7]),
                ("c", "passthrough", [12, 8]),
            ]
        )
    ],
}


@pytest.mark.parametrize("forest", FORESTS)
@pytest.mark.parametrize("scaler", SCALERS)
@pytest.mark.parametrize("width", [np.float32, np.float64])
def test_pipelines_answer_as_the_libraries_do(forest: str, scaler: str, width: Any) -> None:
    pipeline = make_pipeline(*SCALERS[scaler](), FORESTS[forest]()).fit(ROWS, LABELS)
    model, dtype = inferir.convert(pipeline), np.dtype(width).str[1:].replace("4", "32").replace("8", "64")
    rows = ROWS.astype(width)
    plan = assert_same(model.spec, dtype, "auto", rows)
    np.testing.assert_array_equal(model.predict(rows), np.ravel(pipeline.predict(rows)))
    np.testing.assert_allclose(model.predict_proba(rows), pipeline.predict_proba(rows), rtol=1e-6, atol=1e-12)
    steps = [k for k in kernels_of(plan) if k.startswith(("scale", "min_max", "impute", "select", "place", "cast"))]
    assert not steps or (forest, dtype) in (("xgboost", "f64"), ("catboost", "f64"))  # no kernel compares doubles


@pytest.mark.parametrize("missing", [False, True])
def test_filled_values_go_where_the_fill_goes(missing: bool) -> None:
    random = np.random.default_rng(1)
    rows, target = ROWS.copy(), ROWS[:, 0] * 2 + ROWS[:, 6]
    if missing:
        rows[random.random(rows.shape) < 0.2] = np.nan
    imputer = SimpleImputer(strategy="constant", fill_value=2.5)
    pipeline = make_pipeline(imputer, StandardScaler(), HistGradientBoostingRegressor(max_iter=20)).fit(rows, target)
    spec = inferir.convert(pipeline).spec
    rows[random.random(rows.shape) < 0.3] = np.nan
    plan = assert_same(spec, "f64", "auto", rows)
    assert kernels_of(plan)[:2] == ["check_within_f64", "forest_quantized_f64_f64"]
    np.testing.assert_array_equal(plan.run("prediction", rows).ravel(), pipeline.predict(rows))


# -- what is refused stays refused


def bad_rows(n: int = 5) -> list[tuple[int, int, float]]:
    return [(k, 3 + k, value) for k, value in enumerate([np.nan, np.inf, -np.inf, 1e300, -1e45][:n])]


def test_what_a_check_behind_a_scaler_refuses_is_refused() -> None:
    """GradientBoosting takes neither NaN nor what float32 cannot hold."""
    spec = inferir.convert(make_pipeline(StandardScaler(), FORESTS["gradient boosting"]()).fit(ROWS, LABELS)).spec
    fused, plain = plan_of(spec), plan_of(spec, fuses=False)
    assert kernels_of(fused)[:3] == ["check_finite_f64", "check_within_f64", "forest_quantized_f64_f64"]
    for row, column, value in bad_rows():
        rows = ROWS[:9].copy()
        rows[row, column] = value
        for plan in (fused, plain):
            wanted = "a number that stays finite" if plan is fused and np.isfinite(value) else "a finite number"
            with pytest.raises(InvalidInputError, match=rf"row {row}, column 'x{column}': expected {wanted}, got "):
                plan.run("prediction", rows)


def test_the_bounds_of_a_moved_check_are_exact() -> None:
    def checked(b: Builder) -> str:
        return b.op("check_finite", b.op("cast", scaled(b), to="f32"), allow_nan=False)

    spec = stumps([0, 1, 2], [0.0, 1.0, 2.0], checked, compare="f32")
    fused, plain = plan_of(spec), plan_of(spec, fuses=False)
    program = fused.programs["prediction"]
    low, high = (fused.arrays[program.steps[0].arguments[k].number] for k in (1, 2))
    for limit, outward in ((low, -np.inf), (high, np.inf)):
        for inside, rows in ((True, limit[None]), (False, np.nextafter(limit, outward)[None])):
            for plan in (fused, plain):
                if inside:
                    plan.run("prediction", rows.copy())
                else:
                    wanted = "a number that stays finite" if plan is fused else "a finite number"
                    with pytest.raises(InvalidInputError, match=rf"row 0, column 'x0': expected {wanted}"):
                        plan.run("prediction", rows.copy())


# -- when steps have to run


def _cast_between(b: Builder) -> str:
    return b.op("power", "input", tensors={"lambdas": np.ones(N_COLUMNS)}, method="yeo-johnson")


RUNS: dict[str, tuple[Callable[[Builder], str], str]] = {
    "a negative scale": (lambda b: scaled(b, scale=(1.0, -1.0, 1.0)), "scale_f64"),
    "a scale of zero": (lambda b: scaled(b, scale=(1.0, 0.0, 1.0)), "scale_f64"),
    "an infinite scale": (lambda b: scaled(b, scale=(1.0, np.inf, 1.0)), "scale_f64"),
    "a mean of NaN": (lambda b: scaled(b, mean=(1.0, np.nan, 1.0)), "scale_f64"),
    "a function that is no link": (_cast_between, "power_f64"),
    "columns that are mixed": (lambda b: b.op("normalize", "input", norm="l2"), "normalize_f64"),
    "bounds in the wrong order": (
        lambda b: b.op(
            "min_max", "input", tensors={"scale": np.ones(3), "offset": np.zeros(3)}, low=1.0, high=-1.0
        ),
        "min_max_f64",
    ),
    "a sentinel for missing values": (
        lambda b: b.op(
            "impute", "input", missing=-1.0,
            tensors={"columns": np.arange(3), "fill": np.zeros(3), "indicators": np.arange(0)},
        ),
        "impute_f64",
    ),
    "indicators": (
        lambda b: b.op(
            "impute", "input", missing=float("nan"),
            tensors={"columns": np.arange(2), "fill": np.zeros(2), "indicators": np.arange(1)},
        ),
        "impute_f64",
    ),
    "a value above all thresholds": (
        lambda b: b.op(
            "min_max", "input", tensors={"scale": np.ones(3), "offset": np.zeros(3)}, low=5.0, high=9.0
        ),
        "min_max_f64",
    ),
    "a check of columns that are not asked": (
        lambda b: b.op(
            "select", b.op("check_finite", scaled(b), allow_nan=False), tensors={"columns": np.array([0, 1, 1])}
        ),
        "scale_f64",
    ),
}  # fmt: skip


@pytest.mark.parametrize("why", RUNS)
def test_steps_that_cannot_be_moved_run(why: str) -> None:
    preprocess, kernel = RUNS[why]
    spec = stumps([0, 1, 2], [0.5, 0.25, 0.75], preprocess)
    assert kernel in kernels_of(plan_of(spec))


@pytest.mark.parametrize("flags", [ZERO_MISSING, CATEGORICAL])
def test_zeros_and_categories_have_to_come_as_they_were(flags: int) -> None:
    rows = between([0.0, 1.0, 3.0, 1e-36], np.float64)
    spec = stumps([0, 1], [0.5, -0.5], scaled, flags=flags)
    assert kernels_of(assert_same(spec, "f64", "auto", rows))[0] == "scale_f64"

    def moved(b: Builder) -> str:
        return b.op("select", "input", tensors={"columns": np.array([2, 0, 1])})

    spec = stumps([0, 1], [0.5, -0.5], moved, flags=flags)
    assert kernels_of(assert_same(spec, "f64", "auto", rows)) == ["forest_quantized_f64_f64"]


def test_a_cast_alone_runs_and_so_does_all_before_a_long_search() -> None:
    """A search among doubles takes longer than one among float32."""
    spec = inferir.convert(HIST().fit(ROWS, LABELS)).spec
    assert kernels_of(plan_of(spec, "f32"))[0] == "forest_quantized_f32_f64"
    spec = inferir.convert(FORESTS["random forest"]().fit(ROWS, LABELS)).spec
    assert kernels_of(plan_of(spec))[0] == "cast_f32"
    for n_thresholds, first in ((256, "forest_quantized_f64_f64"), (257, "scale_f64")):
        spec = stumps([0] * n_thresholds, np.arange(n_thresholds), scaled, compare="f32")
        assert kernels_of(plan_of(spec))[0] == first


def test_the_part_that_can_be_moved_is() -> None:
    estimator = make_pipeline(PowerTransformer(standardize=False), StandardScaler(), HIST()).fit(ROWS, LABELS)
    steps = kernels_of(plan_of(inferir.convert(estimator).spec))
    assert steps[:4] == ["check_finite_f64", "power_f64", "check_finite_f64", "forest_quantized_f64_f64"]


def test_what_something_else_reads_stays() -> None:
    def both(b: Builder) -> str:
        value = scaled(b)
        b.op("identity", value)
        return value

    spec = stumps([0, 1, 2], [0.0, 1.0, 2.0], both)
    named = [
        o if o.op != "identity" or o.output == "prediction" else replace(o, output="transformed")
        for o in spec.operators
    ]
    spec = replace(spec, operators=tuple(named))
    plan = plan_of(spec)
    assert [step.kernel for step in plan.programs["transformed"].steps] == ["scale_f64"]
    assert [step.kernel for step in plan.programs["prediction"].steps] == ["forest_quantized_f64_f64"]
    rows = between([0.5, 1.0], np.float64)
    together = plan.together(("prediction", "transformed")).run(rows)
    for face, answer in zip(("prediction", "transformed"), together, strict=True):
        np.testing.assert_array_equal(answer, plan_of(spec, fuses=False).run(face, rows))


# -- the rest of a model's life


def test_files_and_explanations_are_those_of_the_nodes() -> None:
    estimator = make_pipeline(StandardScaler(), HIST()).fit(ROWS, LABELS)
    spec = prepare(inferir.convert(estimator).spec, fewest_nodes=0)
    assert differing(spec) == []
    assert kernels_of(assert_same(spec, "f64", "auto", ROWS))[:2] == ["check_finite_f64", "forest_quantized_f64_f64"]
    binary = make_pipeline(StandardScaler(), HIST()).fit(ROWS, LABELS > 0)
    model = inferir.convert(binary)
    values, base = model.explain(ROWS)
    np.testing.assert_allclose(values.sum(axis=1) + base, model.raw(ROWS), rtol=1e-9, atol=1e-9)
    alone = inferir.convert(binary[-1]).explain(binary[0].transform(ROWS))
    np.testing.assert_allclose(values, alone[0], rtol=1e-12, atol=1e-14)
