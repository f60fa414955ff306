"""The asv suite: every kernel is in it, and every case runs and agrees with the reference."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import benchmarks
from benchmarks.common import BACKENDS, KernelBenchmark, difference
from benchmarks.formats import File
from benchmarks.model import Load, Predict, setup_cache
from benchmarks.specs import MODELS
from inferir.kernels.signatures import KERNELS

FAMILIES = sorted({signature.family for signature in KERNELS.values()})


def _suites() -> Iterator[tuple[str, type[KernelBenchmark]]]:
    """Module and class of all kernel benchmarks, as asv finds them: what is not abstract."""
    for module in pkgutil.iter_modules(benchmarks.__path__):
        for value in vars(importlib.import_module(f"benchmarks.{module.name}")).values():
            if inspect.isclass(value) and issubclass(value, KernelBenchmark) and not inspect.isabstract(value):
                yield module.name, value


SUITES = dict(_suites())


def test_a_file_for_each_family() -> None:
    assert sorted(SUITES) == FAMILIES


@pytest.mark.parametrize("family", FAMILIES)
def test_every_kernel_of_the_family_is_covered(family: str) -> None:
    covered = {signature.name for signature, _ in SUITES[family]().kernels.values()}
    assert covered == {name for name, signature in KERNELS.items() if signature.family == family}


@pytest.mark.parametrize("family", FAMILIES)
def test_kernel_benchmarks_run_and_agree(family: str) -> None:
    """float32 kernels within a few units in the last place of their largest term."""
    suite = SUITES[family]()
    for kernel in suite.kernels:
        for backend in BACKENDS:
            suite.setup(kernel, backend, 1)
        assert suite.track_same_answer(kernel, "jit") < (1e-5 if "f32" in kernel else 1e-10), kernel


def test_skips_are_said_by_setup() -> None:
    with pytest.raises(NotImplementedError, match="at most 100 rows"):
        SUITES["svm"]().setup("svm_couple", "reference", 10_000)
    with pytest.raises(NotImplementedError, match="takes no rows"):
        SUITES["tree"]().setup("check_forest/200000_leaves", "jit", 100)


def test_rows_of_a_small_batch_begin_a_large_one() -> None:
    suite = SUITES["linear"]()
    signature, case = suite.kernels["matmul_f64/1_output"]
    few, many = case.arguments(signature, 3), case.arguments(signature, 100)
    np.testing.assert_array_equal(few[0], many[0][:3])
    for model, same in zip(few[1:-1], many[1:-1], strict=True):
        np.testing.assert_array_equal(model, same)


@pytest.mark.parametrize(
    ("ours", "right", "expected"),
    [
        ([1.0, np.nan, np.inf], [1.0, np.nan, np.inf], 0.0),
        ([101.0], [100.0], 0.01),
        ([0.5], [0.25], 0.25),
        ([np.nan], [1.0], np.inf),
        ([1.0], [np.inf], np.inf),
        ([np.inf], [-np.inf], np.inf),
        ([], [], 0.0),
    ],
)
def test_difference(ours: list[float], right: list[float], expected: float) -> None:
    assert difference(np.array(ours), np.array(right)) == expected


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("benchmarks")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(path)
        setup_cache()
    return path


@pytest.mark.parametrize("model", MODELS)
def test_model_benchmarks_run_and_agree(model: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    load, predict = Load(), Predict()
    load.setup(model)
    load.time_answer()
    load.peakmem_answer()
    for backend in BACKENDS:
        predict.setup(model, backend, 1)
        predict.time_answer()
    assert predict.track_same_answer(model, "jit") < 1e-6


@pytest.mark.parametrize("method", sorted(name for name in vars(File) if name.startswith(("time_", "peakmem_"))))
def test_format_benchmarks_run(method: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    file: Any = File()
    file.setup(MODELS[0])
    getattr(file, method)(MODELS[0])


def test_file_is_measured(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    file = File()
    file.setup(MODELS[0])
    file.time_write(MODELS[0])
    assert Path("written.apr").read_bytes() == Path(file.path).read_bytes()
    assert file.track_size(MODELS[0]) == Path(file.path).stat().st_size
    assert 0 < file.track_crc_share(MODELS[0]) < 1
