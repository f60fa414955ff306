"""Tensors to rows and answers to tensors, for every form that clients send."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression
from sklearn.preprocessing import StandardScaler

import inferir
from inferir.demo import FOLDER
from inferir.errors import DimensionError, InvalidInputError
from inferir.server.protocols.oip.rest import Wanted
from inferir.server.protocols.oip.signature import Signature
from inferir.server.protocols.oip.tensors import Tensor

PENGUINS, CANCER = inferir.load(FOLDER / "penguins.apr"), inferir.load(FOLDER / "breast_cancer.apr")
ROW = ["Adelie", "Dream", 39.1, 18.7, 181.0, 3750.0]


def number_tensor(array: Any, name: str = "x", datatype: str = "FP64") -> Tensor:
    array = np.asarray(array)
    return Tensor(name, datatype, array.shape, array)


def text_tensor(values: list[str], shape: tuple[int, ...], name: str = "x") -> Tensor:
    return Tensor(name, "BYTES", shape, values)


def columns(rows: list[list[Any]], shape: tuple[int, ...]) -> list[Tensor]:
    """A tensor for each of the penguins' columns."""
    return [
        text_tensor(list(values), shape, column.name)
        if isinstance(values[0], str)
        else number_tensor(np.reshape(values, shape), column.name)
        for column, values in zip(PENGUINS.columns, zip(*rows, strict=True), strict=True)
    ]


class TestRows:
    @pytest.mark.parametrize("shape", [(2,), (2, 1)])
    def test_a_tensor_for_each_column(self, shape: tuple[int, ...]) -> None:
        tensors = columns([ROW, ROW], shape)
        assert Signature(PENGUINS).rows(tensors) == [ROW, ROW]
        assert Signature(PENGUINS).rows(tensors[::-1]) == [ROW, ROW], "by name, not by order"

    def test_one_tensor_of_text(self) -> None:
        text = [str(value) for value in ROW]
        assert Signature(PENGUINS).rows([text_tensor(text * 2, (2, 6))]) == [ROW, ROW]
        assert Signature(PENGUINS).rows([text_tensor(text, (6,))]) == [ROW], "one row without its dimension"

    def test_empty_text_is_missing_in_a_number_column(self) -> None:
        assert Signature(PENGUINS).rows([text_tensor(["a", "b", "", "1", "2", "3"], (1, 6))])[0][2] is None

    def test_columns_of_numbers_are_stacked(self) -> None:
        tensors = [number_tensor(np.array([k, k + 0.5], "f4"), c.name) for k, c in enumerate(CANCER.columns)]
        rows = Signature(CANCER).rows(tensors)
        assert rows.dtype == np.float32
        np.testing.assert_array_equal(rows, [np.arange(30), np.arange(30) + 0.5])

    @pytest.mark.parametrize(
        ("came", "becomes"), [("f2", "f4"), ("f4", "f4"), ("f8", "f8"), ("i1", "f8"), ("u8", "f8"), ("?", "f8")]
    )
    def test_widths(self, came: str, becomes: str) -> None:
        assert Signature(CANCER).rows([number_tensor(np.ones((1, 30), came))]).dtype == becomes

    def test_rows_as_the_model_wants_them_are_not_copied(self) -> None:
        rows = np.ones((4, 30), np.float32)
        assert np.shares_memory(Signature(CANCER).rows([number_tensor(rows)]), rows)

    def test_codes_as_numbers_for_categories(self) -> None:
        assert Signature(PENGUINS).rows([number_tensor(np.ones((1, 6)))]) == [[1.0] * 6]
        every = [number_tensor(np.ones(1), column.name) for column in PENGUINS.columns]
        assert Signature(PENGUINS).rows(every) == [[1.0] * 6]

    @pytest.mark.parametrize(
        ("tensors", "says"),
        [
            ([number_tensor(np.ones((2, 5)))], r"expected shape \[-1, 6\], got \[2, 5\]"),
            ([number_tensor(np.ones((1, 6, 2)))], r"got \[1, 6, 2\]"),
            (columns([ROW], (1,))[:-1], r"without \['body_mass_g'\]"),
            ([*columns([ROW], (1,))[:-1], number_tensor([1.0, 2.0], "body_mass_g")], "one n for all inputs"),
            ([*columns([ROW], (1,))[:-1], number_tensor([[1.0, 2.0]], "body_mass_g")], r"\[n\] or \[n, 1\]"),
            ([number_tensor(np.ones(1))], r"expected shape \[-1, 6\], got \[1\]"),
            ([text_tensor(["Adelie"], (1,), "species")], "an input for every column"),
        ],
    )
    def test_other_shapes(self, tensors: list[Tensor], says: str) -> None:
        with pytest.raises(DimensionError, match=says):
            Signature(PENGUINS).rows(tensors)

    @pytest.mark.parametrize("text", ["old", "1_000", "9" * 400])
    def test_text_that_is_no_number(self, text: str) -> None:
        with pytest.raises(InvalidInputError, match="row 0, column 'bill_length_mm': expected a number"):
            Signature(PENGUINS).rows([text_tensor(["a", "b", text, "1", "2", "3"], (1, 6))])


class TestOutputs:
    def test_several_outputs(self) -> None:
        rng = np.random.default_rng(0)
        rows, labels = rng.random((30, 2)), np.stack([rng.integers(0, 2, 30), rng.integers(0, 3, 30)], axis=1)
        model = inferir.convert(RandomForestClassifier(3, random_state=0).fit(rows, labels))
        signature = Signature(model)
        declared = {output.name: (output.datatype, output.shape) for output in signature.outputs}
        assert declared == {
            "prediction": ("INT64", [-1, 2]),
            "probabilities_0": ("FP64", [-1, 2]),
            "probabilities_1": ("FP64", [-1, 3]),
        }
        wanted = signature.wanted(None, True)
        assert signature.faces_of(wanted) == ("prediction", "probabilities")
        faces = {"prediction": model.predict(rows), "probabilities": model.predict_proba(rows)}
        answers = dict(signature.answers(wanted, faces))
        np.testing.assert_array_equal(answers["probabilities_1"], model.predict_proba(rows)[1])
        for name, (_, shape) in declared.items():
            assert list(answers[name].shape[1:]) == shape[1:]

    @pytest.mark.parametrize(
        ("estimator", "outputs"),
        [
            (LinearRegression(), {"prediction": ("FP64", [-1])}),
            (StandardScaler(), {"transformed": ("FP64", [-1, 3])}),
        ],
    )
    def test_other_tasks(self, estimator: Any, outputs: Any) -> None:
        rows = np.random.default_rng(0).random((20, 3))
        model = inferir.convert(estimator.fit(rows, rows[:, 0]))
        signature = Signature(model)
        assert {output.name: (output.datatype, output.shape) for output in signature.outputs} == outputs
        ask = {"prediction": lambda: model.predict(rows), "transformed": lambda: model.transform(rows)}
        faces = {name: ask[name]() for name in outputs}
        ((name, answer),) = signature.answers(signature.wanted(None, False), faces)
        assert list(answer.shape[1:]) == outputs[name][1][1:]

    def test_raw_only_by_name(self) -> None:
        signature = Signature(CANCER)
        assert [output.name for output in signature.outputs] == ["prediction", "probabilities"]
        assert signature.faces_of(signature.wanted([Wanted("raw", False)], False)) == ("raw",)

    def test_classification_names_the_best_first(self) -> None:
        signature = Signature(PENGUINS)
        wanted = [Wanted("probabilities", False, classes=9)]
        faces = {"probabilities": np.array([[0.25, 0.75], [0.5, 0.5]])}
        ((name, answer),) = signature.answers(wanted, faces)
        first, second = PENGUINS.classes
        assert name == "probabilities"
        assert answer == [
            [f"0.750000:1:{second}", f"0.250000:0:{first}"],
            [f"0.500000:0:{first}", f"0.500000:1:{second}"],
        ]

    @pytest.mark.parametrize(
        ("wanted", "says"),
        [
            (Wanted("lions", False), r"expected outputs among \['prediction', 'probabilities', 'raw'\], got 'lions'"),
            (Wanted("prediction", False, 1), "expected numbers for classification, it has text"),
        ],
    )
    def test_refused(self, wanted: Wanted, says: str) -> None:
        with pytest.raises(InvalidInputError, match=says):
            Signature(PENGUINS).wanted([wanted], False)
