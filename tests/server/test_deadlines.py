"""Until when somebody waits."""

from __future__ import annotations

import pytest

from inferir.errors import InvalidInputError
from inferir.server.deadlines import deadline_of, grpc_timeout


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, 130.0),
        ({"X-Request-Timeout-Ms": "250"}, 100.25),
        ({"X-Request-Timeout-Ms": "0"}, 100.0),
        ({"X-Request-Timeout-Ms": "99999999"}, 130.0),  # nobody may wait longer than the server lets them
        ({"X-Envoy-Expected-Rq-Timeout-Ms": "1000"}, 101.0),
        ({"X-Request-Timeout-Ms": "inf"}, 130.0),
    ],
)
def test_headers(headers: dict[str, str], expected: float) -> None:
    assert deadline_of(headers, 100.0, 30.0) == expected


@pytest.mark.parametrize("text", ["", "soon", "-1", "nan", "\u0661\u0660", "1e", "0x10"])
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(InvalidInputError, match="X-Request-Timeout-Ms: expected a number of milliseconds"):
        deadline_of({"X-Request-Timeout-Ms": text}, 0.0, 30.0)


@pytest.mark.parametrize(
    ("text", "seconds"), [("1H", 3600.0), ("2M", 120.0), ("3S", 3.0), ("100m", 0.1), ("5u", 5e-6), ("7n", 7e-9)]
)
def test_grpc(text: str, seconds: float) -> None:
    assert grpc_timeout(text) == pytest.approx(seconds, rel=1e-12)


@pytest.mark.parametrize("text", ["", "S", "10", "10s", "-1S", "1.5S", "123456789S", "1_0S"])
def test_grpc_that_is_none(text: str) -> None:
    with pytest.raises(InvalidInputError, match="grpc-timeout"):
        grpc_timeout(text)
