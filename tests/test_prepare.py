"""`prepare` and `differing`: tables in files, and whether they are those of the model's nodes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import inferir
from inferir import kernels
from inferir.errors import BackendError
from inferir.formats.apr import read, to_bytes
from inferir.formats.prepared import nbytes_of, tables_of, without_tables
from inferir.formats.spec import ModelSpec
from inferir.prepare import FEWEST_NODES, differing, prepare
from tests.operators.test_prepared import field_of, forest_spec, rows, symmetric_spec, with_field

pytestmark = pytest.mark.skipif(kernels.available()[0] == "reference", reason="tables are made by compiled kernels")


@pytest.fixture(scope="module", params=["forest", "symmetric"])
def spec(request: pytest.FixtureRequest) -> ModelSpec:
    return forest_spec((150, 9, 60, 30)) if request.param == "forest" else symmetric_spec()


def test_the_same_model_gives_the_same_bytes(spec: ModelSpec) -> None:
    data = to_bytes(spec)
    assert to_bytes(prepare(spec, fewest_nodes=0)) == data
    assert to_bytes(prepare(without_tables(spec), fewest_nodes=0)) == data
    assert to_bytes(read(data)) == data
    assert inferir.load(data).to_bytes() == data


def test_without_tables_it_is_the_model_that_was_imported(spec: ModelSpec) -> None:
    plain = without_tables(spec)
    assert "prepared" not in plain.extra
    assert not tables_of(plain)
    assert set(spec.tensors) - set(plain.tensors) == set(tables_of(spec))
    model, old = inferir.load(to_bytes(spec)), inferir.load(to_bytes(plain))
    np.testing.assert_array_equal(model.predict(rows()), old.predict(rows()))


def test_tables_of_few_nodes_are_not_kept() -> None:
    few, enough = ((FEWEST_NODES + by) // 2 for by in (-2, 2))  # leaves of one tree
    assert not nbytes_of(prepare(forest_spec((few,))))
    assert nbytes_of(prepare(forest_spec((enough,))))
    assert prepare(forest_spec((few,))) == without_tables(forest_spec((few,)))


def test_the_reference_makes_none(spec: ModelSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "available", lambda: ("reference",))
    assert prepare(spec) == without_tables(spec)
    assert differing(without_tables(spec)) == []
    with pytest.raises(BackendError, match="compiled kernels"):
        differing(spec)


@pytest.mark.parametrize("backend", [name for name in kernels.available() if name != "reference"])
def test_compiled_kernels_make_the_same(backend: str, spec: ModelSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "available", lambda: (backend,))
    assert to_bytes(prepare(spec, fewest_nodes=0)) == to_bytes(spec)


def test_tables_of_these_nodes_do_not_differ(spec: ModelSpec) -> None:
    assert differing(spec) == []
    assert differing(read(to_bytes(spec))) == []
    assert differing(without_tables(spec)) == []


def _bent(array: Any) -> Any:
    array.reshape(-1)[0] += 1
    return array


def test_tables_that_say_something_else_are_found(spec: ModelSpec) -> None:
    field = "cuts" if len(spec.operators) and spec.operators[0].op == "forest" else "level"
    name, array = field_of(spec, field)
    bent = with_field(spec, name, _bent(array))
    inferir.load(to_bytes(bent))  # does no harm, and is not what the nodes say
    assert differing(bent) == [name]
    unknown = replace(bent, extra={"prepared": {"quantized": 9, "symmetric": 9}})
    assert differing(unknown) == []


def test_tables_that_would_not_be_made_are_found() -> None:
    spec = forest_spec((8, 4))
    moved = {
        name.replace("/quantized/", "/symmetric/"): replace(tensor, name=name.replace("/quantized/", "/symmetric/"))
        for name, tensor in tables_of(spec).items()
    }
    odd = replace(spec, tensors={**spec.tensors, **moved}, extra={"prepared": {"quantized": 1, "symmetric": 1}})
    assert differing(odd) == list(moved)


def test_convert_keeps_them_unless_told_not_to() -> None:
    ensemble = pytest.importorskip("sklearn.ensemble")
    x = np.random.default_rng(0).standard_normal((300, 3))
    estimator = ensemble.RandomForestRegressor(10, random_state=0).fit(x, x[:, 0])
    model, plain = inferir.convert(estimator), inferir.convert(estimator, prepared=False)
    assert model.info()["prepared_bytes"] == nbytes_of(model.spec) > 0 == plain.info()["prepared_bytes"]
    assert replace(without_tables(model.spec), created="") == replace(plain.spec, created="")
    np.testing.assert_array_equal(model.predict(x), plain.predict(x))
    np.testing.assert_array_equal(inferir.load(model.to_bytes()).predict(x), plain.predict(x))
