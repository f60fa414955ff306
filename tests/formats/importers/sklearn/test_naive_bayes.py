from __future__ import annotations

import numpy as np
import pytest
from sklearn.naive_bayes import BernoulliNB, CategoricalNB, ComplementNB, GaussianNB, MultinomialNB

from inferir.errors import InvalidInputError
from tests.formats.importers.sklearn.agreement import BINARY, MULTI, Data, agree, compare, converted, fitted

COUNTS = Data(np.floor(np.abs(MULTI.rows) * 4), MULTI.target)


@pytest.mark.parametrize(
    ("estimator", "data"),
    [
        (GaussianNB(), MULTI),
        (GaussianNB(priors=[0.2, 0.3, 0.5]), MULTI),
        (GaussianNB(), BINARY),
        (BernoulliNB(), MULTI),
        (BernoulliNB(binarize=0.5, fit_prior=False), BINARY),
    ],
    ids=str,
)
def test_agrees(estimator: object, data: Data) -> None:
    agree(estimator, data, relative=1e-9)


@pytest.mark.parametrize(
    "estimator",
    [MultinomialNB(), MultinomialNB(fit_prior=False), ComplementNB(), ComplementNB(norm=True), CategoricalNB()],
    ids=str,
)
def test_counts(estimator: object) -> None:
    fitted(estimator, COUNTS)
    compare(estimator, converted(estimator), COUNTS.rows, 1e-10)


def test_a_category_that_was_never_seen_is_refused() -> None:
    model = converted(fitted(CategoricalNB(), COUNTS))
    rows = COUNTS.rows[:4].copy()
    rows[2, 1] = 99
    with pytest.raises(InvalidInputError, match=r"row 2, column 'x1': expected a category from 0 to \d+, got 99"):
        model.predict(rows)
