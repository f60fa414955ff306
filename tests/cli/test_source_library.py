"""`inferir check` against the files and objects of other libraries."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import Result
from sklearn.datasets import load_diabetes, load_iris

import inferir
from inferir.cli._source_library import source_answers
from inferir.errors import BackendError

Run = Callable[..., Result]


@dataclass(frozen=True)
class Data:
    """Rows with plain names, and targets of three classes, two classes, numbers."""

    rows: pd.DataFrame
    targets: dict[str, Any]
    csv: str


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Data:
    rows, flower = load_iris(return_X_y=True, as_frame=True)
    rows.columns = ["a", "b", "c", "d"]
    path = tmp_path_factory.mktemp("data") / "rows.csv"
    rows.to_csv(path, index=False)
    number = load_diabetes(return_X_y=True)[1][: len(rows)]
    return Data(rows, {"three": flower, "two": flower == 2, "number": number}, str(path))


def _xgboost(data: Data, target: str, folder: Path, suffix: str) -> Path:
    import xgboost

    kind = xgboost.XGBRegressor if target == "number" else xgboost.XGBClassifier
    path = folder / f"model{suffix}"
    kind(n_estimators=4, max_depth=3, n_jobs=1).fit(data.rows, data.targets[target]).save_model(path)
    return path


def _lightgbm(data: Data, target: str, folder: Path, suffix: str) -> Path:
    import lightgbm

    kind = lightgbm.LGBMRegressor if target == "number" else lightgbm.LGBMClassifier
    fitted = kind(n_estimators=4, n_jobs=1, verbose=-1).fit(data.rows, data.targets[target])
    path = folder / f"model{suffix}"
    fitted.booster_.save_model(path)
    return path


def _catboost(data: Data, target: str, folder: Path, suffix: str) -> Path:
    import catboost

    kind = catboost.CatBoostRegressor if target == "number" else catboost.CatBoostClassifier
    fitted = kind(iterations=4, depth=3, verbose=0, thread_count=1, allow_writing_files=False)
    path = folder / f"model{suffix}"
    fitted.fit(data.rows, data.targets[target].astype(int)).save_model(str(path), format="json")
    fitted.save_model(str(path.with_suffix(".cbm")))
    return path


_CASES = [
    pytest.param(maker, suffix, target, id=f"{maker.__name__[1:]} {suffix} {target}")
    for maker, suffix in ((_xgboost, ".json"), (_xgboost, ".ubj"), (_lightgbm, ".txt"), (_catboost, ".json"))
    for target in ("three", "two", "number")
]


@pytest.mark.parametrize(("maker", "suffix", "target"), _CASES)
def test_a_file_is_compared_with_its_own_library(
    maker: Callable[..., Path], suffix: str, target: str, data: Data, tmp_path: Path, run: Run
) -> None:
    source, model = maker(data, target, tmp_path, suffix), tmp_path / "model.apr"
    assert run("convert", source, "-o", model).exit_code == 0
    if maker is _catboost:
        source = source.with_suffix(".cbm")
    result = run("check", model, "--against", source, data.csv, "--json")
    assert result.exit_code == 0, result.output
    compared = [answer["answer"] for answer in json.loads(result.stdout)["answers"]]
    assert compared == (["prediction", "raw"] if target == "number" else ["prediction", "probabilities", "raw"])


@pytest.mark.parametrize("package", ["xgboost", "lightgbm", "catboost"])
def test_estimators_in_pickles_give_labels_probabilities_and_margins(
    package: str, data: Data, tmp_path: Path, run: Run
) -> None:
    import catboost
    import lightgbm
    import xgboost

    estimator = {
        "xgboost": lambda: xgboost.XGBClassifier(n_estimators=4, n_jobs=1),
        "lightgbm": lambda: lightgbm.LGBMClassifier(n_estimators=4, n_jobs=1, verbose=-1),
        "catboost": lambda: catboost.CatBoostClassifier(iterations=4, verbose=0, allow_writing_files=False),
    }[package]()
    estimator.fit(data.rows, data.targets["three"])
    source, model = tmp_path / "model.pkl", tmp_path / "model.apr"
    source.write_bytes(pickle.dumps(estimator))
    assert run("convert", source, "-o", model, "--trust-pickle").exit_code == 0
    result = run("check", model, "--against", source, data.csv, "--trust-pickle", "--json")
    assert result.exit_code == 0, result.output
    assert [a["answer"] for a in json.loads(result.stdout)["answers"]] == ["prediction", "probabilities", "raw"]


@pytest.mark.parametrize("target", ["three", "number"])
def test_onnx_is_compared_with_onnxruntime(target: str, data: Data, tmp_path: Path, run: Run) -> None:
    from skl2onnx import to_onnx
    from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

    kind = DecisionTreeRegressor if target == "number" else DecisionTreeClassifier
    tree = kind(max_depth=4, random_state=0).fit(data.rows.to_numpy(np.float32), data.targets[target])
    source, model = tmp_path / "model.onnx", tmp_path / "model.apr"
    source.write_bytes(to_onnx(tree, data.rows.to_numpy(np.float32)[:1]).SerializeToString())
    assert run("convert", source, "-o", model).exit_code == 0
    result = run("check", model, "--against", source, data.csv, "--json")
    assert result.exit_code == 0, result.output
    compared = [a["answer"] for a in json.loads(result.stdout)["answers"]]
    assert compared == (["prediction"] if target == "number" else ["prediction", "probabilities"])


@pytest.mark.parametrize("values", [["Lima", "Cusco", "Puno"], [30, 4, 17]])
@pytest.mark.parametrize("package", ["xgboost", "lightgbm"])
def test_categories_are_given_as_the_library_wants_them(
    package: str, values: list[Any], data: Data, tmp_path: Path, run: Run
) -> None:
    import lightgbm
    import xgboost

    rows = pd.DataFrame({"place": values * 50, "a": data.rows.a})
    target = (rows.place == values[1]) ^ (rows.a > 6)
    estimator = {
        "xgboost": lambda: xgboost.XGBClassifier(n_estimators=4, n_jobs=1, enable_categorical=True),
        "lightgbm": lambda: lightgbm.LGBMClassifier(n_estimators=4, n_jobs=1, min_child_samples=2, verbose=-1),
    }[package]()
    estimator.fit(rows.astype({"place": "category"}), target)
    source, model, table = tmp_path / "model.pkl", tmp_path / "model.apr", tmp_path / "rows.csv"
    source.write_bytes(pickle.dumps(estimator))
    rows.to_csv(table, index=False)
    assert run("convert", source, "-o", model, "--trust-pickle").exit_code == 0
    result = run("check", model, "--against", source, table, "--trust-pickle", "--json")
    assert result.exit_code == 0, result.output
    assert [a["answer"] for a in json.loads(result.stdout)["answers"]] == ["prediction", "probabilities", "raw"]


def test_rows_that_the_library_refuses(data: Data, tmp_path: Path, run: Run) -> None:
    source, model, table = _lightgbm(data, "two", tmp_path, ".txt"), tmp_path / "model.apr", tmp_path / "rows.csv"
    run("convert", source, "-o", model)
    data.rows.assign(b="word").to_csv(table, index=False)
    result = run("check", model, "--against", source, table)
    assert result.exit_code == 16
    assert "lightgbm cannot answer these rows: ValueError: " in result.stderr


def test_catboost_json_is_refused_as_a_reference(data: Data, tmp_path: Path, run: Run) -> None:
    source, model = _catboost(data, "two", tmp_path, ".json"), tmp_path / "model.apr"
    run("convert", source, "-o", model)
    result = run("check", model, "--against", source, data.csv)
    assert result.exit_code == 16
    assert "saved as .cbm" in result.stderr


def test_a_library_that_is_not_there_is_named(data: Data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = _lightgbm(data, "two", tmp_path, ".txt")
    model = inferir.convert(str(source), backend="reference")

    def absent(name: str) -> None:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    monkeypatch.setattr("inferir.cli._source_library.importlib.import_module", absent)
    with pytest.raises(BackendError, match="comparing with lightgbm needs it, and 'lightgbm' is not installed"):
        source_answers(str(source), model, data.rows)
