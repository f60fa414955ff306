"""Frozen models: what was planned with NumPy answers without it, bit for bit, and only beside its own file."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest

import inferir
from inferir.errors import ChecksumError, DimensionError, InvalidInputError, ModelLoadError, TaskError
from inferir.formats import apr
from inferir.plan import Plan
from inferir.program.frozen import FrozenModel, freeze
from tests.program.library import ReferenceLibrary
from tests.program.test_native import ESTIMATORS, REFERENCE, ROWS

CONTENTS = {name: inferir.convert(estimator).to_bytes() for name, estimator in ESTIMATORS.items()}


def frozen(contents: bytes, given: bytes | None = None) -> tuple[Plan, FrozenModel]:
    """The plan of `contents`, and the model that is thawed from it beside the bytes `given`."""
    spec = apr.read(contents)
    plan = Plan(spec, REFERENCE, "f64")
    facts = {
        "name": spec.name,
        "version": spec.model_version,
        "task": spec.task,
        "columns": tuple((c.name, c.kind, c.categories) for c in spec.columns),
        "classes": spec.classes,
    }
    library = ReferenceLibrary()
    written, rest = freeze(contents, facts, plan.programs, plan.arrays, library.digest)
    model = FrozenModel(written, bytearray(given or contents), bytearray(rest), library)
    return plan, model


@pytest.mark.parametrize("name", CONTENTS)
def test_answers_are_the_plan_s(name: str) -> None:
    plan, model = frozen(CONTENTS[name])
    assert model.faces == plan.faces
    for face in plan.faces:
        for n in (1, 2, 178, 1):
            rows = ROWS[:n]
            answer = model.answer(face, memoryview(rows.reshape(-1)), n)
            right = plan.run(face, rows)
            assert np.array(answer, right.dtype).tobytes() == right.tobytes()
            assert np.shape(answer) == right.shape


def test_batches_longer_than_a_chunk() -> None:
    plan, model = frozen(CONTENTS["linear"])
    rows = np.tile(ROWS, (4, 1))
    answer = model.answer("raw", memoryview(rows.reshape(-1)), len(rows))
    assert np.array(answer).tobytes() == plan.run("raw", rows).tobytes()
    rows[600, 2] = np.nan
    with pytest.raises(InvalidInputError, match="row 600, column 'x2': expected a finite number, got nan"):
        model.answer("raw", memoryview(rows.reshape(-1)), len(rows))


def test_no_rows() -> None:
    _, model = frozen(CONTENTS["linear"])
    assert len(model.answer("raw", memoryview(b"").cast("d"), 0)) == 0


def test_what_is_not_there_is_said() -> None:
    _, model = frozen(CONTENTS["boosting"])
    with pytest.raises(TaskError, match="a regression model 'GradientBoostingRegressor' has no probabilities; it has"):
        model.answer("probabilities", memoryview(ROWS[0]), 1)
    with pytest.raises(DimensionError, match="expected 2 x 13 values 'd', got 13 'd'"):
        model.answer("raw", memoryview(ROWS[0]), 2)
    with pytest.raises(DimensionError, match="expected 1 x 13 values 'd', got 13 'f'"):
        model.answer("raw", memoryview(ROWS[0].astype("f")), 1)


def changed(contents: bytes, at: int) -> bytes:
    damaged = bytearray(contents)
    damaged[at] ^= 1
    return bytes(damaged)


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        (lambda c: b"PK\x03\x04" + c[4:], ModelLoadError, "expected an .apr file, which begins with"),
        (lambda c: c[:-9], ModelLoadError, r"expected an .apr file of \d+ bytes, got \d+"),
        (lambda c: changed(c, -1), ModelLoadError, "that the plan was made from, got another"),
        (lambda c: changed(c, len(c) // 2), ChecksumError, "the bytes changed"),
    ],
)
def test_the_plan_of_another_file(given: Any, error: type[Exception], message: str) -> None:
    contents = CONTENTS["linear"]
    with pytest.raises(error, match=message):
        frozen(contents, given(contents))


def test_no_plan_at_all() -> None:
    contents = bytearray(CONTENTS["linear"])
    for plan in (b"", b"rubbish", b"\xfb\x00\x00\x00\x00", b"i\x01\x00\x00\x00"):
        with pytest.raises(ModelLoadError, match="expected the plan of a model"):
            FrozenModel(plan, contents, bytearray(), ReferenceLibrary())


def test_other_kernels_are_refused() -> None:
    class Other(ReferenceLibrary):
        digest = 1

    contents = bytearray(CONTENTS["linear"])
    plan, rest = freeze(bytes(contents), {}, {}, [], ReferenceLibrary.digest)
    with pytest.raises(ModelLoadError, match="made for the kernels beside it"):
        FrozenModel(plan, contents, bytearray(rest), Other())


def test_what_it_imports() -> None:
    code = f"""
import sys
sys.path[:0] = {sys.path!r}
before = set(sys.modules)
import inferir.program.frozen
print(*sorted(name for name in set(sys.modules) - before if not name.startswith("inferir")))
"""
    command = [sys.executable, "-I", "-S", "-c", code]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert set(said) <= {"__future__", "_ctypes", "marshal", "zlib"}
