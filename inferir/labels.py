"""What kernels answer, as callers get it: positions become class labels, and each output has its probabilities.

Kernels answer (n, outputs) positions among the classes, and (n, classes of all outputs) probabilities.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Labels", "flat"]


class Labels:
    """Of one model: `classes` as `Model.classes` has them, empty for what is no classifier."""

    def __init__(self, classes: tuple[Any, ...]) -> None:
        outputs = classes if not classes or isinstance(classes[0], tuple) else (classes,)
        self._classes = [_array(labels) for labels in outputs]
        #: Of each output; None where the positions are the labels.
        self._labels = [None if _are_positions(labels) else labels for labels in self._classes]

    def __bool__(self) -> bool:
        return bool(self._classes)

    @property
    def n_outputs(self) -> int:
        return len(self._classes)

    @property
    def whole(self) -> bool:
        """Whether all of them are whole numbers."""
        return all(labels.dtype.kind == "i" for labels in self._classes)

    @property
    def first(self) -> npt.NDArray[Any] | None:
        """Of the first output; None where positions are labels, or there are none."""
        return self._labels[0] if self._labels else None

    def of(self, answer: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Labels at the positions `answer`, (n,) or (n, outputs); where there are no classes it is an answer itself."""
        if not self._labels:
            return flat(answer)
        columns = [
            answer[:, k] if labels is None else labels.take(answer[:, k]) for k, labels in enumerate(self._labels)
        ]
        return columns[0] if len(columns) == 1 else np.stack(columns, axis=1)

    def by_face(
        self, faces: Sequence[str], answers: Iterable[npt.NDArray[Any]]
    ) -> dict[str, npt.NDArray[Any] | list[npt.NDArray[Any]]]:
        """Answers for faces of the model, (n, width) each, as callers get them."""
        found: dict[str, npt.NDArray[Any] | list[npt.NDArray[Any]]] = {}
        for face, answer in zip(faces, answers, strict=True):
            if face == "prediction":
                found[face] = self.of(answer)
            elif face == "probabilities":
                found[face] = self.by_output(answer)
            else:
                found[face] = flat(answer) if face == "raw" else answer
        return found

    def by_output(self, answer: npt.NDArray[Any]) -> npt.NDArray[Any] | list[npt.NDArray[Any]]:
        """Probabilities, (n, classes); a list of them, one for each output, where there are several."""
        if len(self._classes) < 2:
            return answer
        ends = np.cumsum([len(labels) for labels in self._classes])
        return np.split(answer, ends[:-1], axis=1)


def flat(answer: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """A single column without its dimension, which the short way for one row has taken already."""
    return answer[:, 0] if answer.shape[-1] == 1 and answer.ndim == 2 else answer


def _array(labels: tuple[Any, ...]) -> npt.NDArray[Any]:
    return np.array(labels, dtype=np.int64 if all(type(label) is int for label in labels) else object)


def _are_positions(labels: npt.NDArray[Any]) -> bool:
    return labels.dtype.kind == "i" and bool((labels == np.arange(len(labels))).all())
