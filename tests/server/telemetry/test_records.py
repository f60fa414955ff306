"""What requests leave behind: by the library of compiled kernels and by Python, record for record."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferir.errors import BackendError
from inferir.kernels import why_not
from inferir.kernels.aot import builtin
from inferir.server.request.exchange import STAGES, Exchange
from inferir.server.telemetry import records as module
from inferir.server.telemetry.records import (
    BATCH_ROWS,
    CAPACITY,
    ENDED_S,
    KIND,
    ROWS,
    STAGES_S,
    STARTED_S,
    Kind,
    Records,
)
from inferir.server.telemetry.server_timing import header_line
from tests.server.telemetry.test_metrics import PREDICT, exchange

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Kept:
    """Keeps all that was read."""

    def __init__(self) -> None:
        self.read_times = 0
        self.kinds: list[Kind] = []
        self.numbers: list[list[float]] = []
        self.texts: list[list[bytes]] = []

    def read(self, kinds: Sequence[Kind], numbers: Any, texts: Any) -> None:
        assert [kinds[0]] * len(kinds) != [*kinds] or len(kinds) == 1
        self.read_times += 1
        self.kinds += [kinds[int(number)] for number in numbers[:, KIND]]
        self.numbers += numbers.tolist()
        self.texts += texts.tolist()


@pytest.fixture(params=["compiled", "python", "other heads"])
def _way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the library of compiled kernels; where there is none; where Python is not as expected."""
    if request.param == "python":
        monkeypatch.setattr(module, "native", no_library)
    elif request.param == "other heads":
        monkeypatch.setattr(builtin, "HEAD_NBYTES", 48)
    elif why_not("aot") is not None:
        pytest.skip("there are no compiled kernels")


def no_library() -> Any:
    raise BackendError("there are none")


pytestmark = pytest.mark.usefixtures("_way")


def test_a_record_has_all_of_its_request() -> None:
    kept = Kept()
    left = Records([kept], texts=True)
    asked = exchange(rows=3, batch_rows=8, request_id="id-7", headers={"traceparent": TRACEPARENT})
    assert left.leave(asked) == header_line(asked.stages)
    left.flush()
    assert kept.kinds == [Kind(PREDICT, 200, "churn", "1", "", "", "")]
    (numbers,) = kept.numbers
    assert numbers[STAGES_S] == asked.stages
    assert numbers[STARTED_S:] == [asked.started_s, asked.ended_s, 3.0, 8.0, 0.0]
    assert kept.texts == [[b"id-7", TRACEPARENT.encode()]]
    left.flush()
    assert kept.read_times == 1


@pytest.mark.parametrize("traceparent", ["\udcff", "\x80", "é" * 100, "\U0001f600", "0" * 5000])
def test_a_header_that_is_no_text(traceparent: str) -> None:
    kept = Kept()
    left = Records([kept], texts=True)
    asked = exchange(request_id="id-7", headers={"traceparent": traceparent})
    assert left.leave(asked) == header_line(asked.stages)
    left.flush()
    assert kept.texts == [[b"id-7", traceparent.encode()[:128] if traceparent.isascii() else b""]]


def test_a_reader_that_fails_does_so_once() -> None:
    class Failing:
        def read(self, *_: Any) -> None:
            raise RuntimeError("a bug")

    left = Records([Failing()])
    for _ in range(CAPACITY - 1):
        left.leave(exchange())
    with pytest.raises(RuntimeError):
        left.leave(exchange())
    assert left.leave(exchange()) == header_line(exchange().stages)


def test_records_are_read_when_there_are_many() -> None:
    kept = Kept()
    left = Records([kept])
    n = 3 * CAPACITY + 5
    for k in range(n):
        left.leave(exchange(rows=k % 3, ended_s=float(k)))
    assert kept.read_times == 3
    left.flush()
    assert [numbers[ENDED_S] for numbers in kept.numbers] == [float(k) for k in range(n)]
    assert [numbers[ROWS] for numbers in kept.numbers] == [float(k % 3) for k in range(n)]
    assert kept.texts == [[]] * n


def test_kinds() -> None:
    """Also where the last of many is of another kind, and begins anew after they were read."""
    kept = Kept()
    left = Records([kept])
    asked: list[Exchange] = []
    for k in range(CAPACITY + 7):
        status, code, shed = [(200, "", ""), (404, "E011", ""), (404, "E003", ""), (503, "OVERLOADED", "full")][k % 4]
        asked.append(exchange(status, model="ab"[k % 2], version=str(k // 500), code=code, shed=shed))
        left.leave(asked[-1])
    left.flush()
    expected = [Kind(each.route, each.status, each.model, each.version, each.code, each.shed, "") for each in asked]
    assert kept.kinds == expected


def test_whoever_waits_is_told_when_the_first_comes() -> None:
    begun: list[int] = []
    left = Records([Kept()], begun=lambda: begun.append(1))
    for _ in range(3):
        left.flush()
        for version in ("1", "2", "1"):
            left.leave(exchange(version=version))
    assert len(begun) == 3


def test_without_readers_there_is_the_header_alone() -> None:
    left = Records([])
    for _ in range(3 * CAPACITY):
        assert left.leave(exchange()) == header_line(exchange().stages)
    left.flush()


def test_only_predictions_have_server_timing() -> None:
    left = Records([Kept()])
    for _ in range(CAPACITY + 1):
        assert left.leave(exchange(rows=0)) == b""
        assert left.leave(exchange(rows=1)).startswith(b"Server-Timing: deserialize;dur=")


def test_server_timing_has_every_stage_in_milliseconds() -> None:
    for seconds in ([0.0, 0.001, 0.0123456789, 1.0, 1e-6, 0.5, 2.0], [0.0, 0.001, 0.0012, 0.0099994, 1e-6, 4e-7, 0.0]):
        text = Records([]).leave(exchange(stages=seconds)).decode()
        assert text.startswith("Server-Timing: ")
        assert text.endswith("\r\n")
        found = re.findall(r"(\w+);dur=([\d.e+-]+)", text)
        assert [name for name, _ in found] == list(STAGES)
        assert [float(value) for _, value in found] == pytest.approx([s * 1e3 for s in seconds], abs=0.0005)
        assert all(len(value.partition(".")[2]) == 3 for _, value in found)


@pytest.mark.parametrize("inference_s", [1e-5, 0.1])
def test_server_timing_says_nothing_of_a_queue_that_was_not_waited_in(inference_s: float) -> None:
    text = Records([]).leave(exchange(stages=[0.0, 0.001, 0.0, 0.0, inference_s, 0.0, 0.002])).decode()
    ms = f"{inference_s * 1e3:.3f}"
    before = "deserialize;dur=0.000, validate;dur=1.000, preprocess;dur=0.000"
    after = f"inference;dur={ms}, postprocess;dur=0.000, serialize;dur=2.000"
    assert text == f"Server-Timing: {before}, {after}\r\n"


# A header with a NUL does not get past aiohttp's parser, and a record ends a text at its NULs.
header = st.characters(exclude_characters="\0", exclude_categories=["Cs"])
header_ascii = st.characters(exclude_characters="\0", codec="ascii")
seconds = st.just(0.0) | st.floats(0.0, 0.011) | st.floats(0.0, 100.0)


@given(stages=st.lists(seconds, min_size=len(STAGES), max_size=len(STAGES)), rows=st.integers(0, 2**53), data=st.data())
def test_any_request(stages: list[float], rows: int, data: Any) -> None:
    ids = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=128)
    request_id = data.draw(ids)
    traceparent = data.draw(st.text(header, max_size=200) | st.text(header_ascii, max_size=200))
    kept = Kept()
    left = Records([kept], texts=True)
    asked = exchange(rows=rows, stages=stages, request_id=request_id, headers={"traceparent": traceparent})
    assert left.leave(asked) == (header_line(stages) if rows else b"")
    left.flush()
    (numbers,), (texts,) = kept.numbers, kept.texts
    assert numbers[STAGES_S] == stages
    assert (numbers[ROWS], numbers[BATCH_ROWS]) == (rows, 0)
    assert texts == [request_id.encode(), traceparent.encode()[:128] if traceparent.isascii() else b""]
