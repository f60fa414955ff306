"""CatBoost's JSON export, `save_model(path, format="json")` (catboost/libs/model/model_export/json_model_helpers.cpp).

    features_info    float_features, categorical_features: place among the columns, how NaN compares;
                     cat_features_hash, where a pool was given: the texts behind the hashes of categories
    oblivious_trees  symmetric trees: `splits` from the lowest bit of a leaf's number, `leaf_values`, leaf by leaf
    trees            other trees, nested: {split, left, right} or {value}
    scale_and_bias   [scale, biases]; older files have one number for the biases
    model_info       params (with the loss), class_params (with the labels), metadata

Numbers are written with all their digits, so a border reads back as the same float32 and a leaf as the same float64.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from inferir.errors import ModelLoadError, UnsupportedModelError

__all__ = ["FloatFeature", "Json", "JsonModel", "parse"]

#: More columns or classes than a model has: lists of them are made by what the file says.
_MOST = 2**16

_LARGEST_FLOAT32 = float(np.finfo(np.float32).max)


class Json:
    """A value in a JSON document, which knows where in it: what is not as expected is a ModelLoadError that says so."""

    __slots__ = ("path", "value")

    def __init__(self, value: Any, path: str = "") -> None:
        self.value, self.path = value, path

    def fail(self, expected: str) -> NoReturn:
        got = repr(self.value) if isinstance(self.value, (str, int, float)) else type(self.value).__name__
        raise ModelLoadError(f"CatBoost JSON: expected {self.path or 'the document'} to be {expected}, got {got[:60]}")

    def _as(self, kinds: tuple[type, ...], expected: str) -> Any:
        if type(self.value) not in kinds:
            self.fail(expected)
        return self.value

    def has(self, key: str) -> bool:
        """Whether the object has `key`, and not null there."""
        return self._as((dict,), "an object").get(key) is not None

    def __getitem__(self, key: str) -> Json:
        if not self.has(key):
            self.fail(f"an object with {key!r}")
        return Json(self.value[key], f"{self.path}.{key}" if self.path else key)

    def items(self, key: str) -> list[Json]:
        """The list under `key`; none where there is none: CatBoost writes null for an empty list."""
        if not self.has(key):
            return []
        found = self[key]
        return [Json(value, f"{found.path}[{i}]") for i, value in enumerate(found._as((list,), "a list"))]

    def text(self) -> str:
        return str(self._as((str,), "a string"))

    def boolean(self) -> bool:
        return bool(self._as((bool,), "true or false"))

    def integer(self, least: int, below: int) -> int:
        value = self._as((int,), "a whole number")
        if not least <= value < below:
            self.fail(f"within [{least}, {below})")
        return int(value)

    def number(self) -> float:
        return float(self.numbers()[0]) if not isinstance(self.value, list) else self.fail("a number")

    def float32(self) -> float:
        """A number that float32 rounds to a finite one."""
        value = self.number()
        return value if abs(value) <= _LARGEST_FLOAT32 else self.fail("a float32")

    def numbers(self) -> npt.NDArray[np.float64]:
        """One number, or a list of them; all finite."""
        values = self.value if isinstance(self.value, list) else [self.value]
        if not set(map(type, values)) <= {int, float}:
            self.fail("a number, or a list of numbers")
        try:
            found = np.array(values, np.float64)
        except OverflowError:
            found = np.array([np.inf])
        if not np.isfinite(found).all():
            self.fail("finite")
        return found


@dataclass(frozen=True)
class FloatFeature:
    """A number column. `nan_right`: NaN counts as larger than every border."""

    column: int
    nan_right: bool


@dataclass(frozen=True)
class JsonModel:
    """A model. Features are found by their number among those of their kind: number columns, columns of categories.
    `texts` are found by the hash of a category.

    `trees` are still JSON. `loss` is None where the file does not say. `labels` are the classes, `class_of_score` which
    of them each score belongs to; `probability_border` is where the second of two classes begins.
    """

    n_columns: int
    names: list[str] | None
    float_features: Mapping[int, FloatFeature]
    cat_features: Mapping[int, int]
    texts: Mapping[int, str]
    oblivious: bool
    trees: list[Json]
    scale: float
    bias: npt.NDArray[np.float64]
    loss: str | None
    labels: list[Any] | None
    class_of_score: list[int] | None
    probability_border: float


def parse(data: bytes) -> JsonModel:
    """The model in a file's bytes. Raises ModelLoadError (E001) that names the field, UnsupportedModelError (E004)."""
    try:
        document = Json(json.loads(data.decode("utf-8"), parse_constant=_refuse))
    except RecursionError:
        raise ModelLoadError("CatBoost JSON: nested too deep") from None
    except ValueError as error:
        raise ModelLoadError(f"CatBoost JSON: {error}") from None
    info, model_info = document["features_info"], document["model_info"]
    if document.has("oblivious_trees") == document.has("trees"):
        document.fail("an object with either 'oblivious_trees' or 'trees'")
    oblivious = document.has("oblivious_trees")
    floats = dict(_float_features(info))
    cats = dict(_column(feature) for feature in info.items("categorical_features"))
    columns = {feature.column for feature in floats.values()} | set(cats.values())
    if len(columns) != len(floats) + len(cats) or columns != set(range(len(columns))) or not columns:
        raise UnsupportedModelError(
            "cannot convert a CatBoost model whose number and category features are not all of its columns; supported: "
            "models without text and embedding features"
        )
    scale, bias = _scale_and_bias(document)
    labels, class_of_score = _classes(model_info)
    return JsonModel(
        n_columns=len(columns),
        names=_names(info, len(columns)),
        float_features=floats,
        cat_features=cats,
        texts=_texts(info),
        oblivious=oblivious,
        trees=document.items("oblivious_trees" if oblivious else "trees"),
        scale=scale,
        bias=bias,
        loss=_loss(model_info),
        labels=labels,
        class_of_score=class_of_score,
        probability_border=_probability_border(model_info),
    )


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"expected finite numbers, got {constant}")


def _column(feature: Json) -> tuple[int, int]:
    """A feature's number among those of its kind, and its column."""
    index = feature["feature_index"].integer(0, _MOST)
    return index, feature["flat_feature_index"].integer(0, _MOST)


def _float_features(info: Json) -> Iterator[tuple[int, FloatFeature]]:
    for feature in info.items("float_features"):
        index, column = _column(feature)
        treatment = feature["nan_value_treatment"]
        if treatment.text() not in ("AsIs", "AsFalse", "AsTrue"):
            treatment.fail("AsIs, AsFalse or AsTrue")
        yield index, FloatFeature(column, feature["has_nans"].boolean() and treatment.text() == "AsTrue")


def _texts(info: Json) -> dict[int, str]:
    """Hash of a category, as an unsigned int, -> its text: as far as the file says."""
    texts = {}
    for entry in info.items("cat_features_hash"):
        texts[entry["hash"].integer(0, 2**32)] = entry["value"].text()
    for feature in info.items("categorical_features"):
        values, words = feature.items("values"), feature.items("string_values")
        for value, word in zip(values, words, strict=False):  # string_values may be empty
            texts[value.integer(-(2**31), 2**31) & 0xFFFFFFFF] = word.text()
    return texts


def _names(info: Json, n_columns: int) -> list[str] | None:
    """Names of the columns; None where training had none, and CatBoost counted."""
    names = [str(i) for i in range(n_columns)]
    for feature in [*info.items("float_features"), *info.items("categorical_features")]:
        if feature.has("feature_id"):
            names[_column(feature)[1]] = feature["feature_id"].text() or names[_column(feature)[1]]
    return None if names == [str(i) for i in range(n_columns)] else names


def _scale_and_bias(document: Json) -> tuple[float, npt.NDArray[np.float64]]:
    if not document.has("scale_and_bias"):
        return 1.0, np.zeros(0)
    both = document.items("scale_and_bias")
    if len(both) != 2:
        document["scale_and_bias"].fail("a scale and a list of biases")
    return both[0].number(), np.zeros(0) if both[1].value is None else both[1].numbers()


def _loss(model_info: Json) -> str | None:
    if not model_info.has("params") or not model_info["params"].has("loss_function"):
        return None
    return model_info["params"]["loss_function"]["type"].text()


def _classes(model_info: Json) -> tuple[list[Any] | None, list[int] | None]:
    """Labels, and the label of each score (TFullModel::GetModelClassLabels, TExternalLabelsHelper::InitializeImpl)."""
    key = next((key for key in ("class_params", "multiclass_params") if model_info.has(key)), None)
    if key is None:
        return None, None
    options = model_info[key]
    named = [label.value for label in options.items("class_names")]
    count = options["classes_count"].integer(0, _MOST) if options.has("classes_count") else 0
    seen = options["class_to_label"].numbers() if options.has("class_to_label") else np.zeros(0)
    if not (np.floor(seen) == seen).all() or not (np.abs(seen) < 2**53).all():
        options["class_to_label"].fail("whole numbers")
    if not named and not count:
        return [int(label) for label in seen], list(range(len(seen)))
    return named or list(range(count)), [int(label) for label in seen]


def _probability_border(model_info: Json) -> float:
    if not model_info.has("binclass_probability_threshold"):
        return 0.5
    written = model_info["binclass_probability_threshold"]
    try:
        border = float(written.text())
    except ValueError:
        written.fail("a number")
    if not 0.0 < border < 1.0:
        written.fail("within (0, 1)")
    return border
