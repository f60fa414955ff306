"""What turned out to be true, against what was predicted: which pairs are one, and how right the last of them were.

    classification, anomaly   the share of predictions that were the truth, all outputs of them
    regression                the mean of |prediction - truth|, over the outputs of a row and over rows

Other tasks have no truth. Nothing here does input or output.
"""

from __future__ import annotations

import math
import sys
from collections import OrderedDict, deque
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

from inferir.errors import DimensionError, InvalidInputError, TaskError
from inferir.rows.plain import short_repr

__all__ = ["Memory", "Remembered", "Truths", "rows_of"]

#: Task -> the metric of its truths.
METRICS = {"classification": "model_accuracy", "anomaly": "model_accuracy", "regression": "model_absolute_error"}

#: An error that is counted as no more: the sum of all of them, of all workers, has to be a number.
_LARGEST = 1e300


def rows_of(value: Any, outputs: int, what: str) -> list[Any]:
    """A prediction or truth as a list with one entry per row: a value, or a list of them where there are several
    outputs. One row may come as it is.

    Raises DimensionError (E003).
    """
    if outputs == 1:
        rows = value if isinstance(value, list) else [value]
        for row in rows:
            if isinstance(row, list):
                raise DimensionError(f"{what}: expected one value for each row, got {short_repr(row)}")
        return rows
    rows = value if isinstance(value, list) and value and isinstance(value[0], list) else [value]
    for row in rows:
        if not isinstance(row, list) or len(row) != outputs:
            raise DimensionError(f"{what}: expected {outputs} values for each row, got {short_repr(row)}")
    return rows


class Truths:
    """How right the last `size` predictions of one version were. Raises TaskError (E008) for a task without truths.

    outputs  values of one prediction.
    labels   those that the model knows; empty where they are numbers.
    total    truths that came, over all time.
    """

    def __init__(self, task: str, outputs: int, labels: Collection[str | int], size: int) -> None:
        if task not in METRICS:
            raise TaskError(f"expected a model of {', '.join(METRICS)}, got one of {task}")
        self.metric = METRICS[task]
        self.outputs = outputs
        self.total = 0
        self._labels = frozenset(labels)
        self._kinds = tuple({type(label) for label in labels}) or (int,)
        self._last: deque[float] = deque(maxlen=size)

    def check(self, predictions: Sequence[Any], truths: Sequence[Any]) -> list[float]:
        """What each pair of rows (`rows_of`) counts: 1 or 0 for right or wrong, or an error. Nothing is added yet.

        Raises DimensionError (E003), InvalidInputError (E006).
        """
        if len(predictions) != len(truths):
            raise DimensionError(f"truth: expected {len(predictions)}, one for each prediction, got {len(truths)}")
        if not truths:
            raise DimensionError("truth: expected at least one, got none")
        pairs = zip(predictions, truths, strict=True)
        if self.metric == "model_accuracy":
            return [float(self._label(p, "prediction") == self._label(t, "truth")) for p, t in pairs]
        return [_distance(_numbers(p, "prediction"), _numbers(t, "truth")) for p, t in pairs]

    def add(self, values: Sequence[float]) -> None:
        """Count what `check` gave."""
        self._last.extend(values)
        self.total += len(values)

    def line(self) -> list[float]:
        """How many truths there are, and their sum."""
        return [len(self._last), math.fsum(self._last)]

    def _label(self, value: Any, what: str) -> Any:
        if isinstance(value, list):
            return [self._label(each, what) for each in value]
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if type(value) not in self._kinds:
            words = " or ".join(sorted({str: "text", int: "a whole number"}[kind] for kind in self._kinds))
            raise InvalidInputError(f"{what}: expected a label, {words}, got {short_repr(value)}")
        if what == "prediction" and self._labels and value not in self._labels:
            known = ", ".join(map(short_repr, sorted(self._labels, key=str)[:10]))
            raise InvalidInputError(
                f"prediction: expected a label that the model has, {known}, got {short_repr(value)}"
            )
        return value


def _numbers(value: Any, what: str) -> list[float]:
    values = value if isinstance(value, list) else [value]
    for each in values:
        if type(each) not in (int, float) or not abs(each) <= sys.float_info.max:
            raise InvalidInputError(f"{what}: expected a finite number, got {short_repr(each)}")
    return [float(each) for each in values]


def _distance(predicted: list[float], true: list[float]) -> float:
    """The mean of the differences, up to _LARGEST."""
    mean = sum(abs(p / 2 - t / 2) / len(true) for p, t in zip(predicted, true, strict=True))
    return min(2 * mean, _LARGEST)


class Remembered(NamedTuple):
    """What a request was answered, and by what."""

    model: str
    version: str
    digest: str
    predictions: list[Any]


class Memory:
    """The predictions of the latest requests by their ids: at most `size` rows of all of them together."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._rows = 0
        self._kept: OrderedDict[str, Remembered] = OrderedDict()

    def put(self, request_id: str, remembered: Remembered) -> None:
        """Remember a request. Of two with one id, the later is."""
        kept, rows = self._kept, len(remembered.predictions)
        if request_id in kept:
            self.take(request_id)
        if rows > self._size:
            return
        kept[request_id] = remembered
        self._rows += rows
        while self._rows > self._size:
            self._rows -= len(kept.popitem(last=False)[1].predictions)

    def take(self, request_id: str) -> Remembered | None:
        """What was remembered, which is then forgotten: a truth counts once."""
        found = self._kept.pop(request_id, None)
        if found is not None:
            self._rows -= len(found.predictions)
        return found

    def __len__(self) -> int:
        """Rows that are remembered."""
        return self._rows
