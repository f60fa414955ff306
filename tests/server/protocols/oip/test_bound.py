"""What is remembered of requests: the same as if it were read anew, whatever came before."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferir.errors import InferirError
from inferir.model import Model
from inferir.server.protocols.oip import rest
from inferir.server.protocols.oip.bound import Bound, Questions
from inferir.server.protocols.oip.signature import Signature
from tests.server.serving import linear_spec

SIGNATURE = Signature(Model(linear_spec(), backend="reference"))
FP32 = np.dtype("<f4")


def request(shape: list[int], n_bytes: int, datatype: str = "FP32", **more: Any) -> bytes:
    tensor = {"name": "input", "shape": shape, "datatype": datatype, "parameters": {"binary_data_size": n_bytes}}
    return json.dumps({"inputs": [tensor], **more}).encode()


def asked(questions: Questions, head: bytes, tail: bytes, length: str | None = None) -> Any:
    bound, rest_of_body = questions.read(head + tail, str(len(head)) if length is None else length)
    return np.asarray(bound.rows(rest_of_body)).tolist()


def anew(head: bytes, tail: bytes, length: str | None = None) -> Any:
    layout, rest_of_body = rest.split(head + tail, str(len(head)) if length is None else length, SIGNATURE.inputs)
    return np.asarray(SIGNATURE.rows(rest.read(layout, rest_of_body).inputs)).tolist()


def outcome(ask: Any, *arguments: Any) -> Any:
    try:
        return ask(*arguments)
    except InferirError as error:
        return type(error), str(error)


HEADS = st.builds(
    request,
    st.lists(st.integers(-1, 3), max_size=3),
    st.integers(-1, 40),
    st.sampled_from(["FP32", "FP64", "INT32", "BYTES", "FP128"]),
)


@given(st.lists(st.tuples(HEADS | st.binary(max_size=40), st.binary(max_size=40)), max_size=6))
def test_what_is_remembered_is_what_would_be_read(requests: list[tuple[bytes, bytes]]) -> None:
    questions = Questions(SIGNATURE)
    for head, tail in requests * 2:
        for length in (None, "", "0", "99999"):
            assert repr(outcome(asked, questions, head, tail, length)) == repr(outcome(anew, head, tail, length))


@pytest.mark.parametrize("n", [1, 3])
def test_the_same_head_with_other_numbers(n: int) -> None:
    questions, head = Questions(SIGNATURE), request([n, 2], 8 * n)
    for start in range(3):
        rows = np.arange(start, start + 2 * n, dtype=FP32).reshape(n, 2)
        assert asked(questions, head, rows.tobytes()) == rows.tolist()
    assert questions.read(head, str(len(head)))[0] is questions.read(head, str(len(head)))[0]


def test_no_more_heads_are_remembered_than_there_is_room_for() -> None:
    questions, tail = Questions(SIGNATURE), bytes(8)
    for number in range(1_000):
        assert asked(questions, request([1, 2], 8, id=str(number)), tail) == [[0, 0]]
    assert len(questions._bound) <= 256
    asked(questions, request([1, 2], 8, id="x" * 2_000), tail)
    assert not any(len(head) > 1024 for head in questions._bound)


@pytest.mark.parametrize("binary", [True, False])
def test_answers_are_encoded_as_without_memory(binary: bool) -> None:
    name = SIGNATURE.outputs[0].name
    outputs = [{"name": name, "parameters": {"binary_data": binary}}]
    bound: Bound = Questions(SIGNATURE).read(head := request([2, 2], 16, id="7", outputs=outputs), str(len(head)))[0]
    for values in (np.arange(2.0), np.arange(2.0) + 5, np.arange(3.0), np.arange(4.0)[::2]):
        answer = [(name, values)]
        assert bound.encoded("m", "1", answer) == rest.encode("m", "1", "7", bound.wanted, answer)
