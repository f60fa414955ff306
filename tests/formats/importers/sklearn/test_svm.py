from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_matrix
from sklearn.svm import SVC, SVR, NuSVC, NuSVR, OneClassSVM

import inferir
from inferir.errors import UnsupportedModelError
from tests.formats.importers.sklearn.agreement import BINARY, MULTI, NUMBERS, Data, agree, compare, converted, fitted

KERNELS = ("linear", "poly", "rbf", "sigmoid")
IGNORE = pytest.mark.filterwarnings("ignore:.*probability.*:FutureWarning")


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("data", [MULTI, BINARY], ids=["multi", "binary"])
def test_svc(kernel: str, data: Data) -> None:
    agree(SVC(kernel=kernel), data)


@pytest.mark.parametrize(
    ("estimator", "data"),
    [
        (SVC(decision_function_shape="ovo"), MULTI),
        (SVC(break_ties=True), MULTI),
        (SVC(kernel="poly", degree=4, coef0=0.5, gamma=0.2), MULTI),
        (NuSVC(nu=0.3), MULTI),
        (NuSVC(nu=0.3, kernel="sigmoid"), BINARY),
        (SVR(C=50), NUMBERS),
        (SVR(kernel="linear"), NUMBERS),
        (NuSVR(), NUMBERS),
        (OneClassSVM(nu=0.2), MULTI),
        (OneClassSVM(kernel="poly"), MULTI),
    ],
    ids=str,
)
def test_agrees(estimator: object, data: Data) -> None:
    agree(estimator, data)


@IGNORE
@pytest.mark.parametrize("kernel", ["rbf", "linear"])
@pytest.mark.parametrize("data", [MULTI, BINARY], ids=["multi", "binary"])
def test_probabilities(kernel: str, data: Data) -> None:
    agree(SVC(kernel=kernel, probability=True, random_state=0), data)


def test_fitted_on_sparse_rows() -> None:
    estimator = SVC().fit(csr_matrix(MULTI.rows), MULTI.target)
    model = converted(estimator)
    assert (model.predict(MULTI.rows) == estimator.predict(csr_matrix(MULTI.rows))).all()


@pytest.mark.parametrize(("kernel", "named"), [("precomputed", "precomputed"), (np.dot, "a function")])
def test_other_kernels_are_refused(kernel: object, named: str) -> None:
    gram = MULTI.rows @ MULTI.rows.T
    estimator = SVC(kernel="precomputed").fit(gram, MULTI.target)
    estimator.kernel = kernel
    with pytest.raises(UnsupportedModelError, match=f"kernel={named}; supported: linear, poly, rbf, sigmoid"):
        inferir.convert(estimator)


def test_near_ties_of_votes() -> None:
    """Rows between the classes, where a vote is won by little."""
    estimator = fitted(SVC(), MULTI)
    rng = np.random.default_rng(0)
    rows = (MULTI.rows[rng.integers(178, size=900)] + MULTI.rows[rng.integers(178, size=900)]) / 2
    compare(estimator, converted(estimator), rows, 1e-10)
