"""The handler that is measured without the times of stages: it answers as the other does, and notes none."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from benchmarks.serving.switching import _quiet
from inferir.kernels import available
from inferir.server.request.exchange import INFERENCE, Exchange
from tests.server.serving import linear_model, serving


@pytest.mark.skipif("aot" not in available(), reason="only compiled kernels answer a row without arrays")
def test_the_same_answer_and_no_stages(tmp_path: Path) -> None:
    async def main() -> None:
        async with serving(linear_model(tmp_path / "m.apr"), backend="aot", batching="off") as (app, _):
            (route,) = [each for each in app.router.routes if each.path == "/predict"]
            answers = []
            for handler in (route.handler, _quiet(route.handler)):
                exchange = Exchange(route, {})
                exchange.body, exchange.deadline_s = b'{"features": [1, 2]}', monotonic() + 60
                document: dict[str, Any] = json.loads(handler(exchange).body)
                assert document.pop("latency_ms") > 0
                answers.append((document, bool(exchange.stages[INFERENCE]), any(exchange.stages)))
            (measured, *noted), (quiet, *not_noted) = answers
            assert measured == quiet
            assert (noted, not_noted) == ([True, True], [False, False])

    asyncio.run(main())
