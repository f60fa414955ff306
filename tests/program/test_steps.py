"""Programs keep the steps and buffers that lead to an answer, and nothing else."""

from __future__ import annotations

import marshal

from sklearn.datasets import load_wine
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import inferir
from inferir.kernels import select
from inferir.plan import Plan
from inferir.program import ARRAY, BUFFER, ROWS
from inferir.program.steps import Argument, Buffer, Problem, Program, Step, trim

ROWS_, LABELS = load_wine(return_X_y=True)


def plan() -> Plan:
    estimator = make_pipeline(StandardScaler(), LogisticRegression(max_iter=20, tol=1)).fit(ROWS_, LABELS)
    return Plan(inferir.convert(estimator).spec, select("reference"), "f64")


def test_each_answer_has_its_own_program() -> None:
    kernels = {face: [step.kernel for step in program.steps] for face, program in plan().programs.items()}
    assert kernels == {
        "raw": ["check_finite_f64", "scale_f64", "matmul_f64", "check_finite_by_f64"],
        "probabilities": ["check_finite_f64", "scale_f64", "matmul_f64", "check_finite_by_f64", "softmax_f64"],
        "prediction": ["check_finite_f64", "scale_f64", "matmul_f64", "check_finite_by_f64", "argmax_f64"],
    }


def test_programs_are_plain_values() -> None:
    for program in plan().programs.values():
        kept = marshal.loads(marshal.dumps(_plain(program)))
        assert kept == _plain(program)


def _plain(value: object) -> object:
    return tuple(map(_plain, value)) if isinstance(value, tuple) else value


def test_trim_drops_and_renumbers() -> None:
    buffers = [Buffer("f64", (ROWS, 2)), Buffer("f32", (9,)), Buffer("i64", (1,)), Buffer("f64", (ROWS, 1))]
    problem = Problem(2, 0, ("a", "b"), ("a finite number",))
    rows, array = Argument(BUFFER, 0), Argument(ARRAY, 7)
    step = Step("k", (rows, array, 3, 0.5, Argument(BUFFER, 2), Argument(BUFFER, 3)), problem)
    assert trim(buffers, [step], 3) == Program(
        (buffers[0], buffers[2], buffers[3]),
        (
            Step(
                "k",
                (rows, array, 3, 0.5, Argument(BUFFER, 1), Argument(BUFFER, 2)),
                Problem(1, 0, ("a", "b"), ("a finite number",)),
            ),
        ),
        2,
    )


def test_the_rows_stay_even_if_nothing_reads_them() -> None:
    buffers = [Buffer("f64", (ROWS, 2)), Buffer("f64", (ROWS, 1))]
    assert trim(buffers, [], 0) == Program((buffers[0],), (), 0)
