"""faiss: an exact index of the training rows, or of the centers. The search is timed, the vote of neighbours is not."""

from __future__ import annotations

from typing import Any

import faiss
import numpy as np

from benchmarks.rivals.subject import Prepared, Subject

__all__ = ["prepare"]


def prepare(subject: Subject) -> Prepared | None:
    estimator = subject.estimator
    kind = type(estimator).__name__
    if kind not in ("KMeans", "KNeighborsClassifier"):
        return None
    faiss.omp_set_num_threads(subject.threads)
    points = estimator.cluster_centers_ if kind == "KMeans" else estimator._fit_X
    index = faiss.IndexFlatL2(points.shape[1])
    index.add(np.ascontiguousarray(points, np.float32))
    k = 1 if kind == "KMeans" else estimator.n_neighbors

    def finish(answer: Any) -> Any:
        nearest = answer[1]
        if k == 1:
            return nearest[:, 0]
        votes = np.apply_along_axis(np.bincount, 1, estimator._y[nearest], minlength=len(estimator.classes_))
        return estimator.classes_[votes.argmax(1)]

    return Prepared(
        lambda rows: index.search(rows, k), rows=lambda rows: np.ascontiguousarray(rows, np.float32), finish=finish
    )
