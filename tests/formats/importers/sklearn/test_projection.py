from __future__ import annotations

import pytest
from sklearn.decomposition import PCA, IncrementalPCA, TruncatedSVD

from tests.formats.importers.sklearn.agreement import MULTI, NUMBERS, Data, agree


@pytest.mark.parametrize(
    ("estimator", "data"),
    [
        (PCA(3), MULTI),
        (PCA(), NUMBERS),
        (PCA(3, whiten=True), MULTI),
        (IncrementalPCA(3), MULTI),
        (IncrementalPCA(2, whiten=True), NUMBERS),
        (TruncatedSVD(3), MULTI),
    ],
    ids=str,
)
def test_agrees(estimator: object, data: Data) -> None:
    agree(estimator, data)
