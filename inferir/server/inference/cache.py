"""Answers that were given before. Off unless asked for: a cache hides what a model costs, and keeps what people sent.

The key is the whole request and the table of models that it met. A table is replaced whenever anything is loaded,
unloaded or renamed, so an answer is never that of another model or version.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

__all__ = ["AnswerCache"]


class AnswerCache:
    """The `size` answers that were used last. `table` is compared by identity."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._table: Any = None
        self._answers: OrderedDict[bytes, Any] = OrderedDict()

    def get(self, table: Any, body: bytes) -> Any:
        """The answer to `body`, or None."""
        if table is not self._table:
            self._table = table
            self._answers.clear()
        answer = self._answers.get(body)
        if answer is not None:
            self._answers.move_to_end(body)
        return answer

    def put(self, table: Any, body: bytes, answer: Any) -> None:
        """Keep an answer that `table` gave, unless another table holds now."""
        if table is not self._table:
            return
        self._answers[body] = answer
        if len(self._answers) > self._size:
            self._answers.popitem(last=False)
