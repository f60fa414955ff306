"""Explanations against the libraries' own and the `shap` package's, whole models at a time."""

from __future__ import annotations

import sys
from typing import Any

import catboost
import lightgbm
import numpy as np
import numpy.typing as npt
import pytest
import xgboost
from sklearn.compose import make_column_transformer
from sklearn.decomposition import PCA
from sklearn.ensemble import (
    AdaBoostClassifier,
    BaggingRegressor,
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    IsolationForest,
    RandomForestClassifier,
    RandomForestRegressor,
    VotingRegressor,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, PolynomialFeatures, StandardScaler
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

import inferir
from inferir.errors import InvalidInputError, TaskError
from inferir.formats.spec import ModelSpec

Array = npt.NDArray[Any]

COLUMNS = 6


def _data(missing: float = 0.05) -> tuple[Array, Array, Array]:
    """Rows, of which the last column holds whole numbers; numbers to predict; three classes."""
    random = np.random.default_rng(0)
    x = random.normal(size=(400, COLUMNS))
    x[:, -1] = random.integers(0, 5, len(x))
    y = x[:, 0] * x[:, 1] + x[:, 2] + (x[:, -1] == 2) + 0.1 * random.normal(size=len(x))
    x[random.random(x.shape) < missing] = np.nan
    return x.astype(np.float32).astype(np.float64), y, np.digitize(y, [-0.5, 0.7])


HOLEY, NUMBER, CLASS = _data()
WHOLE = np.nan_to_num(HOLEY)
TWO = (NUMBER > 0).astype(int)


def score(model: inferir.Model, rows: Any) -> Array:
    """What an explanation adds up to, (n, outputs)."""
    if "raw" in model.faces:
        answer = model.raw(rows)
    else:
        answer = model.predict_proba(rows) if "probabilities" in model.faces else model.predict(rows)
    assert isinstance(answer, np.ndarray)
    return np.asarray(answer, np.float64).reshape(len(answer), -1)


def explained(source: Any, rows: Any, backend: str = "jit") -> tuple[Array, Array]:
    """Values (n, columns, outputs) and base, having checked that they add up within 1e-6 of the largest score."""
    model = inferir.convert(source, backend=backend)
    values, base = model.explain(rows)
    assert values.dtype == base.dtype == np.float64
    values = values.reshape(*values.shape[:2], -1)
    right = score(model, rows)
    np.testing.assert_allclose(base + values.sum(axis=1), right, rtol=1e-6, atol=1e-6 * np.abs(right).max())
    return values, base


def assert_agree(source: Any, rows: Any, theirs: Array, tolerance: float) -> None:
    """`theirs` is (n, outputs, columns + 1), the base last."""
    values, base = explained(source, rows)
    scale = np.abs(theirs).max()
    np.testing.assert_allclose(values, theirs[:, :, :-1].transpose(0, 2, 1), rtol=0, atol=tolerance * scale)
    np.testing.assert_allclose(np.tile(base, (len(rows), 1)), theirs[:, :, -1], rtol=0, atol=tolerance * scale)


# -- libraries with contributions of their own

XGBOOST = {
    "two classes": (xgboost.XGBClassifier(n_estimators=10, max_depth=6), TWO),
    "three classes": (xgboost.XGBClassifier(n_estimators=6, max_depth=4), CLASS),
    "dart": (xgboost.XGBRegressor(n_estimators=10, booster="dart", rate_drop=0.3), NUMBER),
    "random forest": (xgboost.XGBRFRegressor(n_estimators=10, max_depth=5), NUMBER),
    "gblinear": (xgboost.XGBRegressor(n_estimators=10, booster="gblinear"), NUMBER),
    "deep": (xgboost.XGBRegressor(n_estimators=4, max_depth=14, min_child_weight=0), NUMBER),
}


@pytest.mark.parametrize("name", XGBOOST)
def test_xgboost(name: str) -> None:
    """XGBoost adds up in float32."""
    estimator, target = XGBOOST[name]
    estimator.fit(HOLEY, target)
    theirs = estimator.get_booster().predict(xgboost.DMatrix(HOLEY), pred_contribs=True, strict_shape=True)
    assert_agree(estimator, HOLEY, theirs, 3e-6)


def test_xgboost_categories() -> None:
    estimator = xgboost.XGBRegressor(n_estimators=10, max_cat_to_onehot=2, enable_categorical=True)
    frame = pytest.importorskip("pandas").DataFrame(WHOLE, columns=list("abcdef"))
    frame["f"] = frame["f"].map(lambda code: f"kind {code:.0f}").astype("category")
    estimator.fit(frame, NUMBER)
    theirs = estimator.get_booster().predict(
        xgboost.DMatrix(frame, enable_categorical=True), pred_contribs=True, strict_shape=True
    )
    assert_agree(estimator, frame, theirs, 3e-6)


def test_xgboost_vector_leaves() -> None:
    """XGBoost does not explain these; they add up."""
    estimator = xgboost.XGBRegressor(n_estimators=5, multi_strategy="multi_output_tree", tree_method="hist")
    values, _ = explained(estimator.fit(WHOLE, np.stack([NUMBER, NUMBER**2], axis=1)), WHOLE)
    assert values.shape == (len(WHOLE), COLUMNS, 2)


LIGHTGBM = {
    "two classes": (lightgbm.LGBMClassifier(n_estimators=10, verbose=-1), TWO, {}),
    "three classes": (lightgbm.LGBMClassifier(n_estimators=5, verbose=-1), CLASS, {}),
    "categories": (lightgbm.LGBMRegressor(n_estimators=10, verbose=-1), NUMBER, {"categorical_feature": [COLUMNS - 1]}),
    "zero as missing": (lightgbm.LGBMRegressor(n_estimators=10, verbose=-1, zero_as_missing=True), NUMBER, {}),
    "random forest": (
        lightgbm.LGBMRegressor(
            n_estimators=5, verbose=-1, boosting_type="rf", bagging_freq=1, bagging_fraction=0.6
        ),
        NUMBER,
        {},
    ),
    "no split": (lightgbm.LGBMRegressor(n_estimators=2, verbose=-1, min_child_samples=399), NUMBER, {}),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("name", LIGHTGBM)
def test_lightgbm(name: str) -> None:
    estimator, target, options = LIGHTGBM[name]
    estimator.fit(HOLEY, target, **options)
    theirs = estimator.booster_.predict(HOLEY, pred_contrib=True)
    assert_agree(estimator, HOLEY, theirs.reshape(len(HOLEY), -1, COLUMNS + 1), 1e-12)


def test_linear_leaves_are_refused() -> None:
    estimator = lightgbm.LGBMRegressor(n_estimators=3, verbose=-1, linear_tree=True).fit(WHOLE, NUMBER)
    with pytest.raises(TaskError, match="'linear_forest'"):
        inferir.convert(estimator, backend="jit").explain(WHOLE)


CATBOOST = {
    "symmetric": ({"grow_policy": "SymmetricTree"}, NUMBER),
    "leaf by leaf": ({"grow_policy": "Lossguide", "depth": 2}, NUMBER),
    "level by level": ({"grow_policy": "Depthwise", "depth": 2}, NUMBER),
    "three classes": ({"loss_function": "MultiClass"}, CLASS),
}


@pytest.mark.parametrize("name", CATBOOST)
def test_catboost(name: str) -> None:
    options, target = CATBOOST[name]
    estimator = catboost.CatBoost({"iterations": 10, "depth": 4, "verbose": 0, "allow_writing_files": False, **options})
    pool = catboost.Pool(HOLEY, target)
    estimator.fit(pool)
    theirs = estimator.get_feature_importance(pool, type="ShapValues")
    assert_agree(estimator, HOLEY, theirs.reshape(len(HOLEY), -1, COLUMNS + 1), 1e-12)


def test_catboost_of_deeper_ragged_trees() -> None:
    """CatBoost's own values of them do not add up (1.2.10), so there is nothing to compare ours with. Ours do."""
    estimator = catboost.CatBoost({"iterations": 10, "depth": 4, "verbose": 0, "allow_writing_files": False})
    estimator.set_params(grow_policy="Lossguide")
    pool = catboost.Pool(HOLEY, NUMBER)
    estimator.fit(pool)
    theirs = estimator.get_feature_importance(pool, type="ShapValues").sum(axis=1)
    assert np.abs(theirs - estimator.predict(HOLEY)).max() > 0.01
    explained(estimator, HOLEY)


def test_catboost_categories() -> None:
    """One-hot splits of symmetric trees: questions of equality."""
    frame = pytest.importorskip("pandas").DataFrame(WHOLE, columns=list("abcdef"))
    frame["f"] = frame["f"].map(lambda code: f"kind {code:.0f}")
    estimator = catboost.CatBoostRegressor(
        iterations=20, depth=3, verbose=0, one_hot_max_size=10, allow_writing_files=False, cat_features=["f"]
    )
    pool = catboost.Pool(frame, NUMBER, cat_features=["f"])
    estimator.fit(pool)
    theirs = estimator.get_feature_importance(pool, type="ShapValues")[:, None]
    assert np.abs(theirs[:, 0, 5]).max() > 0.01
    assert_agree(_with_texts(estimator, pool), frame, theirs, 1e-12)


def _with_texts(estimator: Any, pool: Any) -> str:
    """A file that has the texts behind hashes of categories."""
    import tempfile

    with tempfile.NamedTemporaryFile(suffix=".json", delete=False) as file:
        estimator.save_model(file.name, format="json", pool=pool)
    return file.name


# -- scikit-learn, beside shap

FORESTS = {
    "random forest": (RandomForestClassifier(10, random_state=0), CLASS),
    "random forest of numbers": (RandomForestRegressor(10, random_state=0), NUMBER),
    "extra trees": (ExtraTreesClassifier(10, random_state=0), TWO),
    "tree": (DecisionTreeClassifier(random_state=0), CLASS),
    "tree of numbers": (DecisionTreeRegressor(max_depth=3), NUMBER),
    "boosting": (GradientBoostingClassifier(n_estimators=10), TWO),
    "boosting of numbers": (GradientBoostingRegressor(n_estimators=10), NUMBER),
    "histograms": (HistGradientBoostingClassifier(max_iter=10), TWO),
    "histograms, three classes": (HistGradientBoostingClassifier(max_iter=5), CLASS),
}


@pytest.fixture(scope="module")
def shap() -> Any:
    return pytest.importorskip("shap", reason="the package shap, of the extra test, is not installed")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", FORESTS)
def test_forests_of_scikit_learn(name: str, shap: Any) -> None:
    estimator, target = FORESTS[name]
    estimator.fit(WHOLE, target)
    explainer = shap.TreeExplainer(estimator)
    theirs = np.asarray(explainer.shap_values(WHOLE, check_additivity=False)).reshape(len(WHOLE), COLUMNS, -1)
    base = np.broadcast_to(np.atleast_1d(explainer.expected_value), (len(WHOLE), theirs.shape[2]))
    assert_agree(estimator, WHOLE, np.concatenate([theirs.transpose(0, 2, 1), base[:, :, None]], axis=2), 1e-12)


@pytest.mark.filterwarnings("ignore")
def test_linear_models(shap: Any) -> None:
    for estimator, target in ((Ridge(), NUMBER), (LogisticRegression(), TWO), (LogisticRegression(), CLASS)):
        pipeline = make_pipeline(StandardScaler(), estimator).fit(WHOLE, target)
        scaled = pipeline[0].transform(WHOLE)
        explainer = shap.LinearExplainer(estimator, np.zeros((1, COLUMNS)))
        theirs = np.asarray(explainer.shap_values(scaled)).reshape(len(WHOLE), COLUMNS, -1)
        base = np.broadcast_to(np.atleast_1d(explainer.expected_value), (len(WHOLE), theirs.shape[2]))
        both = np.concatenate([theirs.transpose(0, 2, 1), base[:, :, None]], axis=2)
        assert_agree(pipeline, WHOLE, both, 1e-12)


@pytest.mark.parametrize("backend", ["jit", "reference"])
def test_sums_of_forests_and_linear_models(backend: str) -> None:
    cases = {
        "bagging": BaggingRegressor(n_estimators=4, max_features=0.5, random_state=0).fit(WHOLE, NUMBER),
        "AdaBoost": AdaBoostClassifier(n_estimators=4).fit(WHOLE, TWO),
        "voting": VotingRegressor(
            [("tree", DecisionTreeRegressor(max_depth=3)), ("line", LinearRegression())], weights=[1, 3]
        ).fit(WHOLE, NUMBER),
        "categories": HistGradientBoostingRegressor(max_iter=4, categorical_features=[COLUMNS - 1]).fit(WHOLE, NUMBER),
    }
    for estimator in cases.values():
        values, _ = explained(estimator, WHOLE[:60], backend)
        assert values.shape == (60, COLUMNS, 1)


# -- pipelines


def test_what_stays_one_column_keeps_its_contribution() -> None:
    inner = DecisionTreeRegressor(max_depth=5, random_state=0)
    scaler, imputer = StandardScaler(), SimpleImputer(strategy="median")
    pipeline = make_pipeline(imputer, scaler, inner).fit(HOLEY, NUMBER)
    seen = scaler.transform(imputer.transform(HOLEY))
    values, base = explained(pipeline, HOLEY)
    alone, alone_base = explained(inner, seen)
    np.testing.assert_array_equal(values, alone)
    np.testing.assert_array_equal(base, alone_base)


def test_what_becomes_several_columns_is_added_up() -> None:
    columns = make_column_transformer((OneHotEncoder(), [COLUMNS - 1]), (StandardScaler(), [2, 0]))
    inner = GradientBoostingRegressor(n_estimators=5)
    pipeline = make_pipeline(columns, inner).fit(WHOLE, NUMBER)
    values, _ = explained(pipeline, WHOLE)
    alone, _ = explained(inner, columns.transform(WHOLE))
    assert (values[:, [1, 3, 4]] == 0).all()
    np.testing.assert_allclose(values[:, COLUMNS - 1], alone[:, :5].sum(axis=1), rtol=0, atol=1e-14)
    np.testing.assert_array_equal(values[:, [2, 0]], alone[:, 5:])


def test_indicators_belong_to_their_column() -> None:
    pipeline = make_pipeline(SimpleImputer(add_indicator=True), DecisionTreeRegressor(random_state=0))
    pipeline.fit(HOLEY, np.isnan(HOLEY[:, 3]).astype(float))
    values, _ = explained(pipeline, HOLEY)
    assert np.abs(values[:, 3]).min() > 0


@pytest.mark.parametrize(
    ("mixing", "operator"), [(PCA(2), "project"), (PolynomialFeatures(2, include_bias=False), "polynomial")]
)
def test_columns_made_of_several_are_refused(mixing: Any, operator: str) -> None:
    pipeline = make_pipeline(mixing, LinearRegression()).fit(WHOLE, NUMBER)
    with pytest.raises(TaskError, match=f"operator '{operator}' makes of several"):
        inferir.convert(pipeline, backend="jit").explain(WHOLE)


# -- linear models and their mean


def test_a_background_says_what_the_mean_is() -> None:
    line = LinearRegression().fit(WHOLE, NUMBER)
    model = inferir.convert(line, backend="jit")
    values, base = model.explain(WHOLE, background=WHOLE[:30])
    np.testing.assert_allclose(values, line.coef_ * (WHOLE - WHOLE[:30].mean(axis=0)), rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(base, line.predict(WHOLE[:30]).mean(), rtol=1e-12)
    zero, at_zero = model.explain(WHOLE)
    np.testing.assert_array_equal(zero, line.coef_ * WHOLE)
    np.testing.assert_array_equal(at_zero, [line.intercept_])
    with pytest.raises(InvalidInputError, match="at least one background row"):
        model.explain(WHOLE, background=WHOLE[:0])


def test_a_forest_takes_no_background() -> None:
    model = inferir.convert(DecisionTreeRegressor().fit(WHOLE, NUMBER), backend="jit")
    with pytest.raises(TaskError, match="no background for a forest"):
        model.explain(WHOLE, background=WHOLE)


# -- what cannot be explained


@pytest.mark.parametrize(
    ("estimator", "message"),
    [
        (KNeighborsClassifier(), "got operator"),
        (IsolationForest(n_estimators=3), "got operator 'exp2'"),
        (StandardScaler(), "answers with neither"),
    ],
)
def test_other_models_are_refused(estimator: Any, message: str) -> None:
    model = inferir.convert(estimator.fit(WHOLE, TWO), backend="jit")
    with pytest.raises(TaskError, match=message) as caught:
        model.explain(WHOLE)
    assert caught.value.code == "E008"


def _without(spec: ModelSpec, role: str) -> ModelSpec:
    from dataclasses import replace

    operators = tuple(
        replace(op, tensors={key: name for key, name in op.tensors.items() if key != role}) for op in spec.operators
    )
    return replace(spec, operators=operators)


def test_onnx_files_have_no_covers(tmp_path: Any) -> None:
    skl2onnx = pytest.importorskip("skl2onnx", reason="the package skl2onnx, of the extra test, is not installed")
    tree = DecisionTreeRegressor(max_depth=3).fit(WHOLE, NUMBER)
    path = tmp_path / "tree.onnx"
    path.write_bytes(skl2onnx.to_onnx(tree, WHOLE[:1].astype(np.float32)).SerializeToString())
    model = inferir.convert(path, backend="jit")
    with pytest.raises(TaskError, match="ONNX files have none"):
        model.explain(WHOLE)


def test_a_file_without_covers_says_to_convert_again() -> None:
    """As were all that were written before there were covers."""
    model = inferir.convert(DecisionTreeRegressor().fit(WHOLE, NUMBER), backend="jit")
    old = inferir.Model(_without(model.spec, "node_cover"), backend="jit")
    np.testing.assert_array_equal(old.predict(WHOLE), model.predict(WHOLE))
    with pytest.raises(TaskError, match="convert the model again"):
        old.explain(WHOLE)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -1.0])
def test_covers_are_numbers_that_count(bad: float) -> None:
    from dataclasses import replace

    from inferir.errors import ModelLoadError

    spec = inferir.convert(DecisionTreeRegressor(max_depth=2).fit(WHOLE, NUMBER), backend="jit").spec
    name = next(op.tensors["node_cover"] for op in spec.operators if "node_cover" in op.tensors)
    tensor = spec.tensors[name]
    cover = np.frombuffer(tensor.data, {"f32": "<f4", "f64": "<f8"}[tensor.dtype]).copy()
    cover[1] = bad
    broken = replace(spec, tensors={**spec.tensors, name: replace(tensor, data=memoryview(cover.tobytes()))})
    with pytest.raises(ModelLoadError, match="covers to be finite and not negative"):
        inferir.Model(broken, backend="jit").explain(WHOLE)


@pytest.mark.parametrize("bad", [np.inf, np.nan, 1e305])
def test_leaves_without_finite_differences_are_refused(bad: float) -> None:
    from dataclasses import replace

    from inferir.errors import ModelLoadError

    spec = inferir.convert(DecisionTreeRegressor(max_depth=2).fit(WHOLE, NUMBER), backend="jit").spec
    name = next(op.tensors["leaf_value"] for op in spec.operators if "leaf_value" in op.tensors)
    tensor = spec.tensors[name]
    value = np.frombuffer(tensor.data, "<f8").copy()
    value[1] = bad
    broken = replace(spec, tensors={**spec.tensors, name: replace(tensor, data=memoryview(value.tobytes()))})
    with pytest.raises(ModelLoadError, match="whose differences are finite"):
        inferir.Model(broken, backend="jit").explain(WHOLE)


# -- rows


@pytest.mark.parametrize("backend", ["jit", "reference"])
def test_rows_alone_have_the_bits_of_the_batch(backend: str) -> None:
    model = inferir.convert(RandomForestClassifier(3, max_depth=5).fit(WHOLE, CLASS), backend=backend)
    values, base = model.explain(WHOLE[:130])
    for i in (0, 63, 64, 129):
        alone, same_base = model.explain(WHOLE[i : i + 1])
        np.testing.assert_array_equal(alone[0], values[i])
        np.testing.assert_array_equal(same_base, base)


def test_many_rows_on_threads() -> None:
    source = RandomForestRegressor(3, max_depth=5).fit(WHOLE, NUMBER)
    rows = np.tile(WHOLE, (25, 1))
    one = inferir.convert(source, backend="jit", threads=1).explain(rows)[0]
    two = inferir.convert(source, backend="jit", threads=2).explain(rows)[0]
    np.testing.assert_array_equal(one, two)
    np.testing.assert_array_equal(one[: len(WHOLE)], one[-len(WHOLE) :])


def test_no_rows_and_float32_rows() -> None:
    model = inferir.convert(RandomForestRegressor(3, max_depth=5).fit(WHOLE, NUMBER), backend="jit")
    assert model.explain(WHOLE[:0])[0].shape == (0, COLUMNS)
    wide, narrow = model.explain(WHOLE), model.explain(WHOLE.astype(np.float32))
    np.testing.assert_array_equal(wide[0], narrow[0])
    boosted = inferir.convert(GradientBoostingRegressor(n_estimators=2).fit(WHOLE, NUMBER), backend="jit")
    with pytest.raises(InvalidInputError, match="row 3"):
        boosted.explain(np.where(np.arange(len(WHOLE))[:, None] == 3, np.inf, WHOLE))


def test_an_explanation_survives_the_file(tmp_path: Any) -> None:
    model = inferir.convert(xgboost.XGBRegressor(n_estimators=4).fit(HOLEY, NUMBER), backend="jit")
    model.save(tmp_path / "model.apr")
    again = inferir.load(tmp_path / "model.apr", backend="jit")
    np.testing.assert_array_equal(again.explain(HOLEY)[0], model.explain(HOLEY)[0])


def test_predicting_does_not_import_the_explainer() -> None:
    import subprocess

    code = "import inferir, inferir.model, sys; sys.exit('inferir.explain' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
