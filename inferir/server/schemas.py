"""Bodies of our own routes, as OpenAPI describes them. Those of the protocols stand where they are read.

/predict is read by inferir/payload.py, which has to work where msgspec is not: a test holds the two together.
"""

from __future__ import annotations

from typing import Annotated, Any, TypeAlias

from msgspec import UNSET, Meta, Struct, UnsetType

from inferir.payload import LONGEST_MODEL_ID

__all__ = [
    "BatchAnswer",
    "BatchRequest",
    "Error",
    "FeedbackAnswer",
    "FeedbackRequest",
    "Health",
    "Model",
    "Models",
    "Overload",
    "PredictAnswer",
    "PredictRequest",
    "Predictions",
    "Ready",
]

ModelId: TypeAlias = Annotated[
    str, Meta(description="A model, name@version, or an alias.", min_length=1, max_length=LONGEST_MODEL_ID)
]
Value: TypeAlias = float | int | str | bool | None
Features: TypeAlias = Annotated[
    list[Value] | dict[str, Value],
    Meta(description="One row: values in the order of the model's columns, or by their names. null is missing."),
]
Prediction: TypeAlias = Annotated[Any, Meta(description="A label, a number, or a list of them, one per output.")]


class Options(Struct):
    """What is answered beside the prediction."""

    return_probabilities: bool = False
    top_k: Annotated[int, Meta(ge=1, description="That many classes, the most probable first.")] | None = None


class PredictRequest(Struct):
    """One row."""

    features: Features
    model_id: ModelId | None = None
    options: Options | None = None


class Instance(Struct):
    features: Features


class BatchRequest(Struct):
    """Several rows."""

    instances: Annotated[list[Instance | list[Value]], Meta(min_length=1)]
    model_id: ModelId | None = None
    options: Options | None = None


class PredictAnswer(Struct):
    """The answer for one row."""

    prediction: Prediction
    latency_ms: float
    model_id: str
    model_version: str
    request_id: str
    probabilities: list[Any] | None = None
    top: list[Any] | None = None


class RowAnswer(Struct):
    prediction: Prediction
    probabilities: list[Any] | None = None
    top: list[Any] | None = None


class BatchAnswer(Struct):
    """The answers, in the order of the instances."""

    predictions: list[RowAnswer]
    latency_ms: float
    model_id: str
    model_version: str
    request_id: str


Label: TypeAlias = str | int | float
Labels: TypeAlias = Annotated[
    Label | list[Label | list[Label]],
    Meta(description="A label or a number; a list of them, one per output or row; a list of lists, one per row."),
]


class FeedbackRequest(Struct):
    """What turned out to be true, and either the id of the request that asked or what was predicted."""

    truth: Labels
    request_id: Annotated[str, Meta(min_length=1, max_length=128)] | None = None
    prediction: Labels | UnsetType = UNSET
    model_id: ModelId | None = None


class FeedbackAnswer(Struct):
    """The version whose predictions they were, and how many truths were counted."""

    model_id: str
    model_version: str
    truths: int


class Error(Struct):
    """Why there is no answer: for people `message`, for programs `code`."""

    error: str
    code: str
    message: str
    request_id: str


class Overload(Struct):
    """The server is at capacity. The request did nothing, and may be sent again."""

    error: str
    message: str
    retry_after_ms: int


class Health(Struct):
    """The process answers."""

    live: bool
    status: str


class Ready(Struct):
    """Every model is loaded and warmed up."""

    ready: bool
    status: str


class Model(Struct):
    """A loaded version, or one that failed to load; more keys than these are there.

    A loaded version also says as `default` whether it answers for its name.
    """

    name: str
    version: str
    state: str


class Models(Struct):
    """`default_model` is what a request means that names none, loaded or not; "" before any was."""

    default_model: str
    models: list[Model]


class Predictions(Struct):
    """The answers of /invocations, in the order of the rows."""

    predictions: list[Any]
