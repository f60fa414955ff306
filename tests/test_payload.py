"""Requests and answers as documents: their shapes, their limits, and what a bad one is told."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferir import payload
from inferir.errors import (
    DimensionError,
    InferirError,
    InvalidInputError,
    ModelLoadError,
    TaskError,
    UnknownModelError,
)
from inferir.formats.spec import ColumnSpec
from inferir.payload import Options, Request
from inferir.rows.plain import PlainColumns
from tests.patience import PATIENCE_S

COLUMNS = PlainColumns((ColumnSpec("age"), ColumnSpec("colour", "category", ("red", "blue"))))
ABOUT: dict[str, Any] = {"name": "churn", "version": "1.2.0", "latency_ms": 0.25, "request_id": "r-1"}
SAID = {"latency_ms": 0.25, "model_id": "churn", "model_version": "1.2.0", "request_id": "r-1"}

json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)),
    max_leaves=8,
)


def test_a_request_for_one_row() -> None:
    request = payload.read(
        {"model_id": "churn", "features": [1, "red"], "options": {"return_probabilities": True, "top_k": 2}, "other": 1}
    )
    assert (request.model_id, request.instances, request.many) == ("churn", [[1, "red"]], False)
    assert (request.options.return_probabilities, request.options.top_k) == (True, 2)


def test_a_request_for_many_rows_has_them_with_and_without_a_key() -> None:
    request = payload.read({"instances": [{"features": [1, "red"]}, [2, "blue"]]})
    assert (request.model_id, request.instances, request.many) == (None, [[1, "red"], [2, "blue"]], True)
    assert not request.options.needs_probabilities


@pytest.mark.parametrize(
    ("document", "error", "message"),
    [
        ([1, 2], InvalidInputError, "expected an object with 'features' or 'instances', got [1, 2]"),
        (None, InvalidInputError, "expected an object with 'features' or 'instances', got None"),
        ({}, InvalidInputError, "got the keys []"),
        ({"feature": [1]}, InvalidInputError, "got the keys ['feature']"),
        ({"features": [1], "instances": []}, InvalidInputError, "either 'features' or 'instances', got both"),
        ({"instances": {}}, InvalidInputError, "instances: expected a list, got {}"),
        ({"instances": []}, DimensionError, "instances: expected 1 to 3 of them, got 0"),
        ({"instances": [[1]] * 4}, DimensionError, "instances: expected 1 to 3 of them, got 4"),
        (
            {"features": [1], "model_id": 5},
            InvalidInputError,
            "model_id: expected a text of 1 to 512 characters, got 5",
        ),
        ({"features": [1], "model_id": ""}, InvalidInputError, "got ''"),
        ({"features": [1], "model_id": "x" * 513}, InvalidInputError, "got 'xxx"),
        ({"features": [1], "options": []}, InvalidInputError, "options: expected an object, got []"),
        ({"features": [1], "options": {"top_k": 0}}, InvalidInputError, "options.top_k: expected a whole number"),
        ({"features": [1], "options": {"top_k": True}}, InvalidInputError, "at least 1, got True"),
        ({"features": [1], "options": {"top_k": 2.0}}, InvalidInputError, "at least 1, got 2.0"),
        (
            {"features": [1], "options": {"return_probabilities": 1}},
            InvalidInputError,
            "options.return_probabilities: expected true or false, got 1",
        ),
    ],
)
def test_what_is_no_request_is_told_why(document: Any, error: type[InferirError], message: str) -> None:
    with pytest.raises(error) as caught:
        payload.read(document, max_instances=3)
    assert message in caught.value.message


@given(json_values)
def test_any_document_is_a_request_or_an_error_of_the_caller(document: Any) -> None:
    try:
        payload.encode(payload.read(document), COLUMNS)
    except InferirError as error:
        status = payload.STATUS[error.code]
    else:
        status = 200
    assert status in (200, 400)


@pytest.mark.parametrize("model_id", [None, "churn", "churn@1.2.0"])
def test_a_model_is_asked_for_by_name_and_version(model_id: str | None) -> None:
    payload.check_model(model_id, "churn", "1.2.0")


@pytest.mark.parametrize("model_id", ["Churn", "churn@", "churn@1.2", "@1.2.0", "churn@1.2.0 "])
def test_another_model_is_not_answered_by_this_one(model_id: str) -> None:
    with pytest.raises(UnknownModelError, match=r"expected model 'churn' or 'churn@1\.2\.0', got "):
        payload.check_model(model_id, "churn", "1.2.0")


def test_a_bad_instance_names_its_index() -> None:
    request = payload.read({"instances": [[1, "red"], [1, "red", 2], {"age": 1}]})
    with pytest.raises(DimensionError, match=r"instance 1: expected 2 features, got 3"):
        payload.encode(request, COLUMNS)


def test_a_bad_row_by_itself_has_no_index() -> None:
    with pytest.raises(DimensionError) as caught:
        payload.encode(payload.read({"features": [1]}), COLUMNS)
    assert caught.value.message == "expected 2 features, got 1"


def test_bad_instances_fail_alone_where_that_is_wanted() -> None:
    request = payload.read({"instances": [[1], [2, "blue"], {}, "x", {"features": [3, None]}]})
    refused: dict[int, InferirError] = {}
    rows = payload.encode(request, COLUMNS, refused)
    assert rows[:3].tolist() == [2.0, 1.0, 3.0]
    assert math.isnan(rows[3])
    assert sorted(refused) == [0, 2, 3]
    reply = payload.reply(request, [{"prediction": 0}, {"prediction": 1}], refused=refused, **ABOUT)
    entries = reply["predictions"]
    assert [entry.get("prediction") for entry in entries] == [None, 0, None, None, 1]
    assert [entry.get("index") for entry in entries] == [0, None, 2, 3, None]
    assert entries[0]["message"] == "instance 0: expected 2 features, got 1"
    assert (entries[3]["error"], entries[3]["code"]) == ("invalid_input", "E006")
    assert reply["error_count"] == 3


def test_an_answer_has_what_was_asked_for() -> None:
    classes = ("no", "maybe", "yes")
    probabilities = [[0.2, 0.5, 0.3], [0.4, 0.2, 0.4]]
    plain = payload.answers(["maybe", "no"], probabilities, classes, Options())
    assert plain == [{"prediction": "maybe"}, {"prediction": "no"}]
    full = payload.answers(["maybe", "no"], probabilities, classes, Options(True, 2))
    assert full[0] == {
        "prediction": "maybe",
        "probabilities": [0.2, 0.5, 0.3],
        "top": [{"class": "maybe", "probability": 0.5}, {"class": "yes", "probability": 0.3}],
    }
    assert [entry["class"] for entry in full[1]["top"]] == ["no", "yes"]  # the earlier of two that are as probable
    only_top = payload.answers(["maybe"], probabilities[:1], classes, Options(False, 9))
    assert list(only_top[0]) == ["prediction", "top"]
    assert len(only_top[0]["top"]) == 3


def test_several_outputs_are_kept_apart() -> None:
    classes = ((0, 1), ("a", "b", "c"))
    assert payload.labels(classes, [[1, 2], [0, 0]]) == [[1, "c"], [0, "a"]]
    said = payload.answers([[1, "c"]], [[0.1, 0.9, 0.2, 0.3, 0.5]], classes, Options(True, 1))
    assert said == [
        {
            "prediction": [1, "c"],
            "probabilities": [[0.1, 0.9], [0.2, 0.3, 0.5]],
            "top": [[{"class": 1, "probability": 0.9}], [{"class": "c", "probability": 0.5}]],
        }
    ]


def test_labels_of_one_output() -> None:
    assert payload.labels(("no", "yes"), [[1], [0], [1]]) == ["yes", "no", "yes"]


def test_classes_without_names_are_called_by_their_column() -> None:
    assert payload.answers([1], [[0.25, 0.75]], (), Options(False, 1))[0]["top"] == [{"class": 1, "probability": 0.75}]


@pytest.mark.parametrize("options", [Options(True), Options(False, 1)])
def test_probabilities_of_a_model_without_them(options: Options) -> None:
    with pytest.raises(TaskError, match="no probabilities"):
        payload.answers([1.5], None, (), options)


def test_what_is_not_finite_becomes_null_everywhere() -> None:
    nan, inf = math.nan, math.inf
    said = payload.answers([nan, [inf, 1.0, -inf]], [[nan, 1.0], [inf, 0.5]], (0, 1), Options(True, 2))
    assert said[0] == {
        "prediction": None,
        "probabilities": [None, 1.0],
        "top": [{"class": 1, "probability": 1.0}, {"class": 0, "probability": None}],
    }
    assert said[1]["prediction"] == [None, 1.0, None]
    json.dumps(said, allow_nan=False)


def test_a_reply_is_the_answer_and_what_it_is_about() -> None:
    one = Request(None, [[1]], Options(), many=False)
    assert payload.reply(one, [{"prediction": 1}], **ABOUT) == {"prediction": 1, **SAID}
    many = Request(None, [[1], [2]], Options(), many=True)
    both = [{"prediction": 1}, {"prediction": 2}]
    assert payload.reply(many, both, **ABOUT) == {"predictions": both, **SAID}


@pytest.mark.parametrize(
    ("error", "body"),
    [
        (DimensionError("expected 4 features, got 3"), ("dimension_mismatch", "E003", "expected 4 features, got 3")),
        (ModelLoadError("truncated"), ("model_load_failed", "E001", "truncated")),
        (MemoryError("secret"), ("memory_exceeded", "E005", "not enough memory")),
        (KeyError("secret"), ("internal_error", "INTERNAL", "an unexpected error; the log has it")),
    ],
)
def test_the_body_of_an_error(error: BaseException, body: tuple[str, str, str]) -> None:
    word, code, message = body
    expected = {"error": word, "code": code, "message": message, "request_id": "r-1"}
    assert payload.error_body(error, "r-1") == expected


def test_nothing_dear_is_imported() -> None:
    code = "import sys; before = {*sys.modules}; import inferir.payload; print(*{*sys.modules} - before)"
    done = subprocess.run(
        [sys.executable, "-S", "-c", code], capture_output=True, text=True, timeout=PATIENCE_S, check=True
    )
    ours = {"inferir", "inferir.errors", "inferir.payload", "inferir.rows", "inferir.rows.plain"}
    assert set(done.stdout.split()) <= ours | {"__future__", "_struct"}
