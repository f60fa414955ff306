"""Lines of requests: each read by Python's json, and compared with what the request was."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferir.server.telemetry.records import ENDED_S, KIND, ROWS, STARTED_S, Kind
from inferir.server.telemetry.request_lines import request_lines

EPOCH_S = 1_790_000_000.0
TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
TRACEPARENT = f"00-{TRACE_ID}-b7ad6b7169203331-01"

Request = tuple[float, int, int, int, str, bool]


def made(kinds: list[Kind], requests: list[Request]) -> bytes:
    """Of each: when it ended, microseconds that it took, rows, number of its kind, id, and whether it is traced."""
    memory = np.zeros(len(requests) + 3, [("numbers", "f8", KIND + 1), ("texts", "S128", 2)])[: len(requests)]
    for record, (ended_s, took_us, rows, kind, request_id, traced) in zip(memory, requests, strict=True):
        record["numbers"][[STARTED_S, ENDED_S, ROWS, KIND]] = ended_s - took_us / 1e6, ended_s, rows, kind
        record["texts"] = request_id.encode(), TRACEPARENT.encode() if traced else b""
    return request_lines(kinds, memory["numbers"], memory["texts"], EPOCH_S)


def kind(status: int = 200, path: str = "/predict", **more: str) -> Kind:
    route: Any = SimpleNamespace(method="POST", path=path)
    texts = {"model": "", "version": "", "code": "", "shed": "", "key": ""} | more
    return Kind(route=route, status=status, **texts)


texts = st.text(max_size=12)
kinds = st.lists(
    st.builds(
        kind,
        st.sampled_from([200, 404, 503, 500]),
        texts,
        model=texts,
        version=texts,
        code=texts,
        shed=texts,
        key=texts,
    ),
    min_size=1,
    max_size=4,
)
ids = st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=128) | st.text(
    st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=32
)
request = st.tuples(
    st.integers(10**9, 10**13).map(lambda us: us / 1e6),
    st.integers(0, 10**8),
    st.integers(0, 10**9),
    st.integers(0, 3),
    ids,
    st.booleans(),
)


@given(kinds=kinds, requests=st.lists(request, min_size=1, max_size=30))
def test_a_line_says_what_the_request_was(kinds: list[Kind], requests: list[Request]) -> None:
    requests = [(*some, number % len(kinds), request_id, traced) for *some, number, request_id, traced in requests]  # type: ignore[misc]
    lines = made(kinds, requests).decode()
    assert lines.endswith("}\n")
    found = lines.split("\n")[:-1]
    assert len(found) == len(requests)
    for line, (ended_s, took_us, rows, number, request_id, traced) in zip(found, requests, strict=True):
        said, of = json.loads(line), kinds[number]
        when = datetime.strptime(said.pop("time"), "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=timezone.utc)
        expected_when = datetime.fromtimestamp(EPOCH_S + ended_s, timezone.utc)
        assert abs(when - expected_when) <= timedelta(microseconds=1)
        assert said.pop("seconds") == pytest.approx(took_us / 1e6, abs=1.5e-6)  # of a difference of two floats
        level = {200: "info", 404: "info", 503: "warning", 500: "error"}[of.status]
        expected = {"level": level, "event": "request", "method": "POST", "route": of.route.path, "status": of.status}
        expected |= {"rows": rows}
        for name in ("model", "version", "code", "shed", "key"):
            expected |= {name: getattr(of, name)} if getattr(of, name) else {}
        expected |= {"request_id": request_id} if request_id else {}
        expected |= {"trace_id": TRACE_ID} if traced else {}
        assert said == expected
        assert list(said) == list(expected)


def test_the_bytes_of_a_line() -> None:
    line = made([kind(model="churn", version="1.2.0")], [(0.123456, 210, 1, 0, "6ed5dec400000006", True)])
    assert line == (
        b'{"time":"2026-09-21T14:13:20.123456Z","level":"info","event":"request","method":"POST","route":"/predict",'
        b'"status":200,"seconds":0.000210,"rows":1,"model":"churn","version":"1.2.0","request_id":"6ed5dec400000006",'
        b'"trace_id":"0af7651916cd43dd8448eb211c80319c"}\n'
    )


def test_a_trace_that_is_none_is_not_named() -> None:
    memory = np.zeros(2, [("numbers", "f8", KIND + 1), ("texts", "S128", 2)])
    memory["texts"][:, 1] = b"00-1-2-3", TRACEPARENT.encode()
    one, other = request_lines([kind()], memory["numbers"], memory["texts"], EPOCH_S).splitlines()
    assert "trace_id" not in json.loads(one)
    assert json.loads(other)["trace_id"] == TRACE_ID
