"""Requests that are answered together get their own answers, errors and deadlines."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from time import monotonic
from typing import Any

import numpy as np
import pytest

from inferir.errors import InvalidInputError
from inferir.server.errors import DeadlineError
from inferir.server.inference.batcher import Batcher
from inferir.server.models.registry import Cost, ModelVersion
from inferir.server.observer import Observers
from inferir.server.request.exchange import INFERENCE, QUEUE, Exchange
from inferir.server.request.routes import UNMATCHED
from tests.patience import PATIENCE_S


class Model:
    """Answers twice the first column; refuses batches with a 13 in them."""

    def __init__(self) -> None:
        self.batches: list[int] = []

    def answers(self, rows: Any, faces: Any, *, encoded: bool) -> Any:
        self.batches.append(len(rows))
        if (rows == 13).any():
            raise InvalidInputError("13")
        # probabilities as of a model of two outputs
        said = {"prediction": rows[:, 0] * 2, "probabilities": [rows[:, :1], rows[:, 1:]]}
        return {face: said[face] for face in faces}


def exchange(timeout_s: float = PATIENCE_S) -> Exchange:
    made = Exchange(UNMATCHED, {})
    made.deadline_s = monotonic() + timeout_s
    return made


def batcher(model: Any, *, fixed_s: float = 0.0, max_rows: int = 100, budget_s: float = 1.0) -> Batcher:
    nothing: Any = None
    version = ModelVersion("m", "1", model, nothing, cost=Cost(fixed_s))
    return Batcher(version, ThreadPoolExecutor(2), Observers([]), max_rows=max_rows, budget_s=budget_s)


@pytest.mark.parametrize("fixed_s", [0.0, 0.01], ids=["on the loop", "in a thread"])
def test_requests_of_one_round_are_one_batch(fixed_s: float) -> None:
    async def main() -> None:
        model = Model()
        joined = batcher(model, fixed_s=fixed_s)
        rows = [np.full((n, 2), float(n)) for n in (1, 3, 2)]
        exchanges = [exchange() for _ in rows]
        answers = await asyncio.gather(
            *[joined.submit(e, r, ("prediction",)) for e, r in zip(exchanges, rows, strict=True)]
        )
        assert [answer["prediction"].tolist() for answer in answers] == [[2.0], [6.0] * 3, [4.0] * 2]
        assert model.batches == [6]
        assert all(e.stages[INFERENCE] > 0 and e.stages[QUEUE] >= 0 for e in exchanges)

    asyncio.run(main())


def test_faces_are_not_mixed() -> None:
    async def main() -> None:
        model = Model()
        joined = batcher(model)
        row = np.array([[1.0, 5.0]])
        first = joined.submit(exchange(), row, ("prediction",))
        both = joined.submit(exchange(), row, ("prediction", "probabilities"))
        third = joined.submit(exchange(), row * 2, ("prediction",))
        assert (await first)["prediction"].tolist() == [2.0]
        assert (await third)["prediction"].tolist() == [4.0]
        assert [one.tolist() for one in (await both)["probabilities"]] == [[[1.0]], [[5.0]]]
        assert model.batches == [2, 1]

    asyncio.run(main())


def test_one_bad_request_spoils_no_other() -> None:
    async def main() -> None:
        joined = batcher(Model())
        values = [1.0, 13.0, 2.0]
        answers = await asyncio.gather(
            *[joined.submit(exchange(), np.array([[v, 0.0]]), ("prediction",)) for v in values], return_exceptions=True
        )
        assert answers[0]["prediction"].tolist() == [2.0]
        assert isinstance(answers[1], InvalidInputError)
        assert answers[2]["prediction"].tolist() == [4.0]

    asyncio.run(main())


def test_a_batch_is_bounded_in_rows() -> None:
    async def main() -> None:
        model = Model()
        joined = batcher(model, max_rows=4)
        await asyncio.gather(*[joined.submit(exchange(), np.zeros((1, 2)), ("prediction",)) for _ in range(10)])
        assert model.batches == [4, 4, 2]

    asyncio.run(main())


def test_nobody_waits_for_what_nobody_takes() -> None:
    async def main() -> None:
        model = Model()
        joined = batcher(model)
        late = joined.submit(exchange(-1.0), np.zeros((1, 2)), ("prediction",))
        gone = joined.submit(exchange(), np.zeros((1, 2)), ("prediction",))
        gone.cancel()
        good = joined.submit(exchange(), np.zeros((1, 2)), ("prediction",))
        await good
        with pytest.raises(DeadlineError):
            await late
        assert model.batches == [1]

    asyncio.run(main())


def test_a_bug_reaches_whoever_waits() -> None:
    async def main() -> None:
        for fixed_s in (0.0, 0.01):
            joined = batcher(None, fixed_s=fixed_s)
            with pytest.raises(AttributeError):
                await asyncio.wait_for(joined.submit(exchange(), np.zeros((1, 2)), ("prediction",)), PATIENCE_S)

    asyncio.run(main())
