"""What a request says, and what its answer looks like: the one body that every face of a model shares.

    {"model_id": "churn@1.2.0", "features": [0.5, null, "red"], "options": {"return_probabilities": true, "top_k": 3}}
    {"instances": [{"features": {"age": 41, "colour": "red"}}, [0.5, 1.2, "blue"]]}

    {"prediction": 1, "probabilities": [0.12, 0.85, 0.03], "top": [{"class": 1, "probability": 0.85}], ...}
    {"predictions": [{"prediction": 1}, {"error": "dimension_mismatch", "code": "E003", "message": "..."}], ...}

`features` is a list in the model's order of columns or an object by column name; null is a missing value; category
columns take strings. `model_id` is a name, or name@version.

Works on decoded values (dict, list, str, int, float, None): which bytes they came in is for the faces. Imports nothing
that a start on AWS Lambda would feel: no NumPy, no json, no typing.

    request = read(document)                        InvalidInputError, DimensionError where it is no request
    rows = encode(request, columns, refused)        floats for the kernels; with `refused`, a bad instance fails alone
    answers(predictions, probabilities, ...)        one dict per row
    reply(request, answers, ...)                    the document that goes back; error_body(...) where there is none
"""

from __future__ import annotations

from inferir.errors import DimensionError, InferirError, InvalidInputError, TaskError, UnknownModelError
from inferir.rows.plain import short_repr

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from inferir.rows.plain import PlainColumns

__all__ = [
    "LONGEST_MODEL_ID",
    "MAX_INSTANCES",
    "STATUS",
    "Options",
    "Request",
    "answers",
    "check_model",
    "encode",
    "error_body",
    "labels",
    "read",
    "refusal",
    "reply",
]

#: Instances that one request may hold, unless a face says otherwise.
MAX_INSTANCES = 100_000

#: Characters of a model_id: more is no name.
LONGEST_MODEL_ID = 512

#: HTTP status of an error by its code; the mistakes of a caller. Everything else is ours: 500.
STATUS = {"E003": 400, "E006": 400, "E008": 400, "E011": 404}


class Options:
    """What a caller asks for beside the prediction.

    return_probabilities  the probability of every class.
    top_k                 that many classes, the most probable first; None: no such list.
    """

    __slots__ = ("needs_probabilities", "return_probabilities", "top_k")

    def __init__(self, return_probabilities: bool = False, top_k: int | None = None) -> None:
        self.return_probabilities = return_probabilities
        self.top_k = top_k
        self.needs_probabilities = return_probabilities or top_k is not None


_NO_OPTIONS = Options()


class Request:
    """A request that was read.

    model_id   the model asked for, None for the default one.
    instances  the features of each row, as they came: their kind is checked by `encode`.
    options    what is asked for beside the prediction.
    many       whether it was `instances`, and so is answered by a list.
    """

    __slots__ = ("instances", "many", "model_id", "options")

    def __init__(self, model_id: str | None, instances: list[Any], options: Options, many: bool) -> None:
        self.model_id = model_id
        self.instances = instances
        self.options = options
        self.many = many


def read(document: Any, max_instances: int = MAX_INSTANCES) -> Request:
    """The request in a decoded body. Keys that are not ours are left alone.

    Raises InvalidInputError (E006) where something is not of the kind that the module's head shows, and DimensionError
    (E003) for no instances or too many.
    """
    if type(document) is not dict:
        raise InvalidInputError(f"expected an object with 'features' or 'instances', got {short_repr(document)}")
    many = "instances" in document
    if many == ("features" in document):
        count = "both" if many else f"the keys {short_repr(sorted(map(str, document)))}"
        raise InvalidInputError(f"expected an object with either 'features' or 'instances', got {count}")
    model_id = document.get("model_id")
    if model_id is not None and (type(model_id) is not str or not 0 < len(model_id) <= LONGEST_MODEL_ID):
        raise InvalidInputError(
            f"model_id: expected a text of 1 to {LONGEST_MODEL_ID} characters, got {short_repr(model_id)}"
        )
    options = document.get("options")
    return Request(
        model_id,
        _instances(document["instances"], max_instances) if many else [document["features"]],
        _NO_OPTIONS if options is None else _options(options),
        many,
    )


def _instances(instances: Any, max_instances: int) -> list[Any]:
    if type(instances) is not list:
        raise InvalidInputError(f"instances: expected a list, got {short_repr(instances)}")
    if not 0 < len(instances) <= max_instances:
        raise DimensionError(f"instances: expected 1 to {max_instances} of them, got {len(instances)}")
    # An instance without features stays as it is: encode says which one, and what it should have been.
    return [
        instance["features"] if type(instance) is dict and "features" in instance else instance
        for instance in instances
    ]


def _options(options: Any) -> Options:
    if type(options) is not dict:
        raise InvalidInputError(f"options: expected an object, got {short_repr(options)}")
    return_probabilities = options.get("return_probabilities", False)
    if type(return_probabilities) is not bool:
        raise InvalidInputError(
            f"options.return_probabilities: expected true or false, got {short_repr(return_probabilities)}"
        )
    top_k = options.get("top_k")
    if top_k is not None and (type(top_k) is not int or top_k < 1):
        raise InvalidInputError(f"options.top_k: expected a whole number of at least 1, got {short_repr(top_k)}")
    return Options(return_probabilities, top_k)


def check_model(model_id: str | None, name: str, version: str) -> None:
    """Raises UnknownModelError (E011) unless `model_id` is None, `name`, or `name@version`."""
    if model_id is not None and model_id != name and model_id != f"{name}@{version}":
        raise UnknownModelError(f"expected model {name!r} or {name + '@' + version!r}, got {model_id!r}")


def encode(request: Request, columns: PlainColumns, refused: dict[int, InferirError] | None = None) -> memoryview[Any]:
    """The rows of a request as numbers, row after row, flat, of the format `columns.typecode`.

    refused  None: the first bad instance is raised, and its message names the instance of a batch. A dict: a bad
             instance becomes an entry in it, by its index, and the rows are those of the others.

    Raises DimensionError (E003) or InvalidInputError (E006).
    """
    size, end, write = columns.row_nbytes, 0, columns.write
    rows = bytearray(size * len(request.instances))
    for index, features in enumerate(request.instances):
        try:
            write(features, rows, end)
        except (DimensionError, InvalidInputError) as error:
            if request.many:
                error = type(error)(f"instance {index}: {error.message}")
            if refused is None:
                raise error from None
            refused[index] = error
        else:
            end += size
    del rows[end:]
    return memoryview(rows).cast(columns.typecode)


def labels(classes: Sequence[Any], positions: list[list[int]]) -> list[Any]:
    """The labels at the positions that a classifier answers, one row of positions per row.

    `classes` are those of the model: one tuple of labels, or one for each of several outputs; then an answer is a list.
    """
    if isinstance(classes[0], tuple):
        return [[outputs[k] for outputs, k in zip(classes, row)] for row in positions]  # noqa: B905
    return [classes[k] for (k,) in positions]


def answers(
    predictions: Sequence[Any],
    probabilities: Sequence[Sequence[float]] | None,
    classes: Sequence[Any],
    options: Options,
) -> list[dict[str, Any]]:
    """What is said about each row.

    predictions    a label, a number, or a list of them per row.
    probabilities  one column per class (the outputs' classes side by side where there are several), or None.
    classes        the model's, for `top`; without any, classes are called by their column.

    Raises TaskError (E008) where probabilities are asked for and there are none.
    """
    if not options.needs_probabilities:
        return [{"prediction": p if type(p) in _ALWAYS_FINITE else _finite(p)} for p in predictions]
    if probabilities is None:
        raise TaskError("this model has no probabilities")
    several = bool(classes) and isinstance(classes[0], tuple)
    bounds = _bounds(classes) if several else []
    said = []
    for prediction, row in zip(predictions, probabilities):  # noqa: B905
        answer = {"prediction": _finite(prediction)}
        parts = [row[start:stop] for start, stop in bounds]
        if options.return_probabilities:
            answer["probabilities"] = _finite(parts if several else row)
        if options.top_k is not None:
            if several:
                answer["top"] = [_top(p, c, options.top_k) for p, c in zip(parts, classes)]  # noqa: B905
            else:
                answer["top"] = _top(row, classes, options.top_k)
        said.append(answer)
    return said


def _bounds(classes: Sequence[Any]) -> list[tuple[int, int]]:
    """Where the columns of each output begin and end."""
    bounds, start = [], 0
    for output in classes:
        bounds.append((start, start + len(output)))
        start += len(output)
    return bounds


def _top(row: Sequence[float], classes: Sequence[Any], top_k: int) -> list[dict[str, Any]]:
    """The most probable classes; the earlier class first where two are as probable, what is not a number last."""
    order = sorted(range(len(row)), key=lambda k: row[k] if row[k] == row[k] else -1.0, reverse=True)
    return [{"class": classes[k] if classes else k, "probability": _finite(row[k])} for k in order[:top_k]]


#: What most labels are. A set is looked into without a call of our own.
_ALWAYS_FINITE = frozenset((int, str, bool))


def _finite(value: Any) -> Any:
    """The value, with None for what JSON cannot say: NaN and the infinities."""
    if isinstance(value, float):
        return value if value - value == 0.0 else None
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return value


def reply(
    request: Request,
    said: list[dict[str, Any]],
    *,
    name: str,
    version: str,
    latency_ms: float,
    request_id: str,
    refused: Mapping[int, InferirError] | None = None,
) -> dict[str, Any]:
    """The document that answers a request: `answers` for its rows, and `refused` instances in their places."""
    about = {"latency_ms": latency_ms, "model_id": name, "model_version": version, "request_id": request_id}
    if not request.many:
        return said[0] | about
    if not refused:
        return {"predictions": said, **about}
    rest = iter(said)
    merged = [
        refusal(refused[index], index) if index in refused else next(rest) for index in range(len(request.instances))
    ]
    return {"predictions": merged, **about, "error_count": len(refused)}


def refusal(error: BaseException, index: int) -> dict[str, Any]:
    """What stands in the place of an instance that has no answer."""
    return {"index": index, **_fault(error)}


def error_body(error: BaseException, request_id: str) -> dict[str, str]:
    """The document of a request that has no answer. An error that is not ours says no more than that there was one."""
    return {**_fault(error), "request_id": request_id}


def _fault(error: BaseException) -> dict[str, str]:
    if isinstance(error, InferirError):
        return {"error": error.name.lower(), "code": error.code, "message": error.message}
    if hasattr(error, "code") and hasattr(error, "message"):  # a face's own
        return {"error": error.code.lower(), "code": error.code, "message": error.message}
    if isinstance(error, MemoryError):
        return {"error": "memory_exceeded", "code": "E005", "message": "not enough memory"}
    return {"error": "internal_error", "code": "INTERNAL", "message": "an unexpected error; the log has it"}
