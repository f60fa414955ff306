"""LambdaHandler: the typed face, documents, what is counted, deadlines; over the compiled program and over NumPy."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest

from inferir.errors import (
    DimensionError,
    InferirError,
    InvalidInputError,
    ModelLoadError,
    TaskError,
    UnknownModelError,
)
from inferir.lambda_entry import handler as handler_module
from inferir.lambda_entry.errors import DeadlineError, wire_type
from inferir.lambda_entry.handler import LambdaHandler, LambdaRequest
from inferir.lambda_entry.packaged import open_package
from inferir.payload import Options
from tests.lambda_entry.conftest import Packaged
from tests.lambda_entry.parts import Line

ROW = [60, "red", 100]


@pytest.fixture
def line() -> LambdaHandler:
    return LambdaHandler(Line())


def test_one_request(line: LambdaHandler) -> None:
    first = line.handle(LambdaRequest(ROW, "line@1.2.0", Options(True, 1)))
    assert (first.prediction, first.probabilities, first.cold_start) == ("old", [0.39, 0.61], True)
    assert first.top == [{"class": "old", "probability": 0.61}]
    assert (first.model_id, first.model_version) == ("line", "1.2.0")
    assert first.latency_ms > 0
    second = line.handle(LambdaRequest({"height": 0, "age": 1, "colour": "blue"}))
    assert (second.prediction, second.probabilities, second.top, second.cold_start) == ("young", None, None, False)


@pytest.mark.parametrize(
    ("request_", "error"),
    [
        (LambdaRequest([]), DimensionError),
        (LambdaRequest([1, "red", "x"]), InvalidInputError),
        (LambdaRequest([1, "red", -1]), InvalidInputError),
        (LambdaRequest(ROW, "other"), UnknownModelError),
    ],
)
def test_a_request_that_cannot_be_answered(line: LambdaHandler, request_: LambdaRequest, error: type) -> None:
    with pytest.raises(error):
        line.handle(request_)


def test_one_bad_instance_of_a_batch_fails_alone(line: LambdaHandler) -> None:
    requests = [LambdaRequest(ROW), LambdaRequest([1]), LambdaRequest([1, "red", -1]), LambdaRequest([1, "red", 1])]
    batch = line.handle_batch(requests)
    assert (batch.success_count, batch.error_count, batch.cold_start) == (2, 2, True)
    assert [getattr(answer, "prediction", None) for answer in batch.predictions] == ["old", None, None, "young"]
    first, second = (answer for answer in batch.predictions if isinstance(answer, InferirError))
    assert first.message == "instance 1: expected 3 features, got 1"
    assert second.message == "instance 2: column 'height': expected a positive number, got -1.0"
    assert not line.handle_batch(requests).cold_start
    with pytest.raises(DimensionError, match="expected at least one request"):
        line.handle_batch([])


def test_a_document_with_rows_that_columns_and_kernels_refuse(line: LambdaHandler) -> None:
    instances = [[60, "red", 0], [1], [1, "red", -1], {"features": [1, "blue", 0]}]
    said = line.reply({"instances": instances}, "r-9")
    entries = said["predictions"]
    assert [entry.get("prediction") for entry in entries] == ["old", None, None, "young"]
    assert [entry.get("code") for entry in entries] == [None, "E003", "E006", None]
    assert [entry.get("index") for entry in entries] == [None, 1, 2, None]
    assert (said["error_count"], said["request_id"], said["model_id"]) == (2, "r-9", "line")
    counters = line.counters
    assert (counters.requests, counters.batches, counters.instances, counters.failed_instances) == (1, 1, 2, 2)
    assert (counters.failures, counters.cold_starts) == (0, 1)


def test_a_batch_of_nothing_but_bad_rows(line: LambdaHandler) -> None:
    said = line.reply({"instances": [[1], []]}, "r")
    assert said["error_count"] == 2
    assert all("prediction" not in entry for entry in said["predictions"])


def test_slices_are_one_answer(line: LambdaHandler, monkeypatch: pytest.MonkeyPatch) -> None:
    instances: list[Any] = [[k, "red", -1 if k % 11 == 0 else 0] for k in range(100)]
    instances[50] = "x"
    whole = line.reply({"instances": instances}, "r")
    monkeypatch.setattr(handler_module, "SLICE_ROWS", 7)
    sliced = line.reply({"instances": instances}, "r")
    streamed = json.loads(b"".join(line.stream({"instances": instances}, "r")))
    assert whole["predictions"] == sliced["predictions"] == streamed["predictions"]
    assert whole["error_count"] == streamed["error_count"] == 11
    assert set(whole) == set(streamed)


def test_a_stream_of_one_answer(line: LambdaHandler) -> None:
    said = json.loads(b"".join(line.stream({"features": ROW}, "r")))
    assert (said["prediction"], said["request_id"]) == ("old", "r")


@pytest.mark.parametrize("remaining_ms", [0, -5])
def test_what_is_late_already_is_not_computed(line: LambdaHandler, remaining_ms: float) -> None:
    called: list[int] = []
    line.model.answer = lambda *arguments: called.append(1)  # type: ignore[assignment, method-assign, return-value]
    with pytest.raises(DeadlineError):
        line.reply({"features": ROW}, "r", remaining_ms)
    assert not called
    assert line.counters.failures == 1


def test_what_would_be_late_at_the_fastest_pace_is_not_begun_and_what_turns_out_late_is_not_finished(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Slow(Line):
        calls = 0

        def answer(self, face: str, rows: memoryview[Any], n_rows: int) -> list[list[Any]]:
            self.calls += 1
            return super().answer(face, rows, n_rows)

    model = Slow()
    handler = LambdaHandler(model)
    monkeypatch.setattr(handler_module, "SLICE_ROWS", 10)
    monkeypatch.setattr(handler_module, "perf_counter", lambda: 0.02 * model.calls)  # each call takes 20 ms
    instances = {"instances": [ROW] * 100}
    with pytest.raises(DeadlineError, match=r"the deadline passed after 40 of 100 rows"):
        handler.reply(instances, "r", 70)
    assert model.calls == 4
    model.calls = 0
    with pytest.raises(DeadlineError, match="an answer for 100 rows would come after the deadline"):
        handler.reply(instances, "r", 70)
    assert model.calls == 0
    assert handler.reply({"features": ROW}, "r", 5000)["prediction"] == "old"


def test_a_model_without_predictions_answers_with_what_it_makes() -> None:
    class Raw(Line):
        faces, classes = ("raw",), ()

    handler = LambdaHandler(Raw())
    assert handler.handle(LambdaRequest(ROW)).prediction == 61
    with pytest.raises(TaskError, match="has no probabilities"):
        handler.handle(LambdaRequest(ROW, options=Options(True)))


def test_warming_up_is_no_answer_and_survives_a_model_that_refuses_zeros(line: LambdaHandler) -> None:
    class Refusing(Line):
        def answer(self, face: str, rows: memoryview[Any], n_rows: int) -> list[list[Any]]:
            raise InvalidInputError("row 0, no zeros")

    LambdaHandler(Refusing()).warm_up()
    line.warm_up()
    assert line.cold
    assert line.counters.requests == 0


@pytest.mark.parametrize("way", ["from_bytes", "package"])
def test_answers_are_those_of_the_library_the_model_came_from(packaged: Packaged, way: str) -> None:
    if way == "package":
        handler = LambdaHandler(open_package([str(packaged.folder / "model")]))
    else:
        handler = LambdaHandler.from_bytes(packaged.contents)
    document = {"instances": packaged.rows.tolist(), "options": {"return_probabilities": True}}
    entries = handler.reply(document, "r")["predictions"]
    assert [entry["prediction"] for entry in entries] == packaged.forest.predict(packaged.rows).tolist()
    probabilities = np.array([entry["probabilities"] for entry in entries])
    assert np.allclose(probabilities, packaged.forest.predict_proba(packaged.rows), rtol=0, atol=1e-12)
    single = handler.handle(LambdaRequest(packaged.rows[0].tolist()))
    assert (single.prediction, single.model_version) == (packaged.forest.predict(packaged.rows[:1])[0], "3")
    assert not math.isnan(single.latency_ms)


def test_bytes_that_are_no_model() -> None:
    with pytest.raises(ModelLoadError):
        LambdaHandler.from_bytes(b"")


def test_errors_have_stable_names_on_the_wire() -> None:
    names = {type(e).__name__: wire_type(e) for e in (DimensionError("x"), ModelLoadError("x"), MemoryError())}
    assert names == {
        "DimensionError": "Function.DimensionMismatch",
        "ModelLoadError": "Function.ModelLoadFailed",
        "MemoryError": "Function.MemoryExceeded",
    }


def test_a_name_that_is_not_there() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'handel'"):
        handler_module.handel  # noqa: B018
