"""Until when somebody waits."""

from __future__ import annotations

import pytest

from inferir.errors import InvalidInputError
from inferir.server.request.deadlines import deadline_of


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
