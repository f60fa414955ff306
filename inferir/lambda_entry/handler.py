"""One model that answers requests: what both ways of running in Lambda share.

    handler = LambdaHandler.from_bytes(data)                 an .apr file's bytes; needs NumPy
    handler = LambdaHandler(open_package(folder))            what `inferir package` made; needs nothing
    handler.handle(LambdaRequest([0.5, 1.2]))                LambdaResponse
    handler.handle_batch([...])                              one bad instance fails alone
    handler.reply(document, "request-id")                    a decoded body to the document that answers it

An answer that would come after the deadline is not computed: the time per row is never taken to be longer than the
fastest seen, so what is refused had no chance.
"""

from __future__ import annotations

from time import perf_counter

from inferir import payload
from inferir.errors import DimensionError, InferirError, InvalidInputError, TaskError
from inferir.lambda_entry import jsontext
from inferir.lambda_entry.errors import DeadlineError
from inferir.lambda_entry.metrics import Counters
from inferir.payload import Options, Request
from inferir.rows.plain import PlainColumns

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any, Protocol

    class Answering(Protocol):
        """A model as handlers see it: `program.frozen.FrozenModel`, or an .apr file in `adapter.PlannedModel`.

        columns   (name, kind, categories) of each, in order.
        classes   labels, or a tuple of them for each of several outputs; empty where there are no classes.
        typecode  "d" or "f": of the rows that `answer` takes.
        """

        name: str
        version: str
        task: str
        columns: Any
        classes: Any
        typecode: Any

        @property
        def faces(self) -> Sequence[str]: ...

        def answer(self, face: str, rows: memoryview[Any], n_rows: int) -> list[list[Any]]:
            """The answer for each of `rows`, which are flat, row-major, of format `typecode`."""


__all__ = ["LambdaBatchResponse", "LambdaHandler", "LambdaRequest", "LambdaResponse"]

#: Rows that are answered between two looks at the clock, and in one piece of a streamed answer.
SLICE_ROWS = 1024


class Column:
    """A column as `PlainColumns` wants it."""

    __slots__ = ("categories", "name")

    def __init__(self, name: str, kind: str, categories: Sequence[str] | None) -> None:
        self.name, self.categories = name, categories


class LambdaRequest:
    """Features of one row: a list in the model's order of columns, or a dict by column name."""

    __slots__ = ("features", "model_id", "options")

    def __init__(self, features: Any, model_id: str | None = None, options: Options | None = None) -> None:
        self.features, self.model_id, self.options = features, model_id, options or Options()


class LambdaResponse:
    """An answer.

    prediction     a label, a number, or a list of them.
    probabilities  of every class, None unless asked for; `top` likewise.
    latency_ms     from the request to the answer.
    cold_start     True for the first answer of this process.
    """

    __slots__ = ("cold_start", "latency_ms", "model_id", "model_version", "prediction", "probabilities", "top")

    def __init__(
        self, said: dict[str, Any], latency_ms: float, cold_start: bool, model_id: str, model_version: str
    ) -> None:
        self.prediction = said["prediction"]
        self.probabilities = said.get("probabilities")
        self.top = said.get("top")
        self.latency_ms, self.cold_start = latency_ms, cold_start
        self.model_id, self.model_version = model_id, model_version


class LambdaBatchResponse:
    """Answers in the order of the requests; an InferirError in the place of each that could not be answered."""

    __slots__ = ("cold_start", "error_count", "latency_ms", "predictions", "success_count")

    def __init__(self, predictions: list[LambdaResponse | InferirError], latency_ms: float, cold_start: bool) -> None:
        self.predictions, self.latency_ms, self.cold_start = predictions, latency_ms, cold_start
        self.error_count = sum(isinstance(answer, InferirError) for answer in predictions)
        self.success_count = len(predictions) - self.error_count


class LambdaHandler:
    """`model` and what is counted about its answers. One thread at a time."""

    def __init__(self, model: Answering, max_instances: int = payload.MAX_INSTANCES) -> None:
        self.model = model
        self.counters = Counters()
        self.columns = PlainColumns([Column(*column) for column in model.columns], model.typecode)
        self._memory = bytearray(self.columns.row_nbytes)
        #: The row of a request for one.
        self._row: memoryview[Any] = memoryview(self._memory).cast(self.columns.typecode)
        self.max_instances = max_instances
        #: Whether nothing has been answered yet.
        self.cold = True
        #: The least time that a row of a batch has taken; what is too late by this is too late for certain.
        self.row_s = 0.0
        # A model without predictions answers with the one thing that it makes: a transformer's rows, a ranker's scores.
        self._face = "prediction" if "prediction" in model.faces else model.faces[0]
        self._has_labels = bool(model.classes) and self._face == "prediction"

    @classmethod
    def from_bytes(cls, data: bytes | bytearray | memoryview, *, backend: str = "auto") -> LambdaHandler:
        """The model in the bytes of an .apr file. Raises FormatError with a code where they are not one (E001, ...)."""
        from importlib import import_module  # NumPy: for notebooks and tests, never for a packaged function

        made: LambdaHandler = cls(import_module("inferir.lambda_entry.adapter").from_bytes(data, backend))
        return made

    # -- typed face

    def handle(self, request: LambdaRequest) -> LambdaResponse:
        """Raises DimensionError (E003), InvalidInputError (E006), TaskError (E008), UnknownModelError (E011)."""
        start, cold = perf_counter(), self.take_cold()
        return self._response(self._one(request), start, cold)

    def handle_batch(self, requests: Sequence[LambdaRequest]) -> LambdaBatchResponse:
        """One bad instance fails alone: its error stands in its place. Raises DimensionError (E003) for no requests."""
        if not requests:
            raise DimensionError("expected at least one request, got none")
        start, cold = perf_counter(), self.take_cold()
        answers: list[LambdaResponse | InferirError] = []
        for index, request in enumerate(requests):
            try:
                answers.append(self._response(self._one(request), start, cold))
            except InferirError as error:
                answers.append(type(error)(f"instance {index}: {_without_row(error)}"))
        return LambdaBatchResponse(answers, (perf_counter() - start) * 1e3, cold)

    def _response(self, said: dict[str, Any], start: float, cold: bool) -> LambdaResponse:
        return LambdaResponse(said, (perf_counter() - start) * 1e3, cold, self.model.name, self.model.version)

    # -- documents

    def reply(self, document: Any, request_id: str, remaining_ms: float = float("inf")) -> dict[str, Any]:
        """The document that answers a decoded body. One bad instance of a batch fails alone.

        Raises InferirErrors, and DeadlineError where the answer would come later than in `remaining_ms`.
        """
        start = perf_counter()
        try:
            request = self._read(document)
            if request.many:
                batch = _Batch(self, request, start, remaining_ms)
                return self._document(request, batch.entries(), start, request_id, len(batch.refused))
            return self._document(request, self._single(request, remaining_ms), start, request_id)
        except Exception:
            self.counters.failures += 1
            raise

    def stream(self, document: Any, request_id: str, remaining_ms: float = float("inf")) -> Iterator[bytes]:
        """The same document in pieces of JSON. What is raised before the first piece says that there is no answer."""
        start = perf_counter()
        try:
            request = self._read(document)
            if not request.many:
                said = self._document(request, self._single(request, remaining_ms), start, request_id)
                yield jsontext.dumps(said).encode("ascii")
                return
            batch = _Batch(self, request, start, remaining_ms)
            before = '{"predictions": ['
            for part in batch.parts():
                yield (before + jsontext.dumps(part)[1:-1]).encode("ascii")
                before = ", "
            rest = self._document(request, [], start, request_id, len(batch.refused))
            del rest["predictions"]
            yield ("], " + jsontext.dumps(rest)[1:]).encode("ascii")
        except Exception:
            self.counters.failures += 1
            raise

    def _read(self, document: Any) -> Request:
        self.counters.requests += 1
        if self.cold:
            self.counters.cold_starts += self.take_cold()
        request = payload.read(document, self.max_instances)
        if request.model_id is not None:
            payload.check_model(request.model_id, self.model.name, self.model.version)
        return request

    def _single(self, request: Request, remaining_ms: float) -> list[dict[str, Any]]:
        """The entry of a request for one row."""
        self.columns.write(request.instances[0], self._memory, 0)
        if remaining_ms <= self.row_s * 1e3:
            raise DeadlineError("an answer would come after the deadline")
        try:
            return self.answers(self._row, 1, request.options)
        except InvalidInputError as error:
            raise InvalidInputError(_without_row(error)) from None

    def _document(
        self, request: Request, entries: list[dict[str, Any]], start: float, request_id: str, n_refused: int = 0
    ) -> dict[str, Any]:
        """Count; the document with `entries`, or all else of it."""
        model, counters, latency_ms = self.model, self.counters, (perf_counter() - start) * 1e3
        counters.instances += len(request.instances) - n_refused
        counters.latency_ms += latency_ms
        said = payload.reply(
            request, entries, name=model.name, version=model.version, latency_ms=int(latency_ms * 1e3) / 1e3,
            request_id=request_id,
        )  # fmt: skip
        if request.many:
            counters.batches += 1
            counters.failed_instances += n_refused
            if n_refused:
                said["error_count"] = n_refused
        return said

    def warm_up(self) -> None:
        """Answer a row of zeros, so that the first request finds code and memory in place."""
        for face in self.model.faces:
            try:
                self.model.answer(face, self._row, 1)
            except InvalidInputError:  # a model that takes no zeros is warm by now as well
                continue

    def take_cold(self) -> bool:
        """Whether this is the first answer."""
        cold, self.cold = self.cold, False
        return cold

    def _one(self, request: LambdaRequest) -> dict[str, Any]:
        payload.check_model(request.model_id, self.model.name, self.model.version)
        self.columns.write(request.features, self._memory, 0)
        return self.answers(self._row, 1, request.options)[0]

    def answers(self, rows: memoryview[Any], n_rows: int, options: Options) -> list[dict[str, Any]]:
        """What is said about each row. Raises InvalidInputError where a kernel cannot take a row, TaskError (E008)."""
        model = self.model
        lists = model.answer(self._face, rows, n_rows)
        predictions: Sequence[Any]
        if self._has_labels:
            predictions = payload.labels(model.classes, lists)
        else:
            predictions = [row[0] for row in lists] if n_rows and len(lists[0]) == 1 else lists
        probabilities: list[Any] | None = None
        if options.needs_probabilities:
            if "probabilities" not in model.faces:
                raise TaskError(f"a {model.task} model {model.name!r} has no probabilities")
            probabilities = model.answer("probabilities", rows, n_rows)
        return payload.answers(predictions, probabilities, model.classes, options)


class _Batch:
    """A request for many rows on its way through a handler, with the clock running since `start`."""

    __slots__ = ("_deadline", "_handler", "_request", "_rows", "_start", "refused")

    def __init__(self, handler: LambdaHandler, request: Request, start: float, remaining_ms: float) -> None:
        self._handler, self._request, self._start = handler, request, start
        self._deadline = start + remaining_ms / 1e3
        self.refused: dict[int, InferirError] = {}
        self._rows = payload.encode(request, handler.columns, self.refused)
        n_rows = len(request.instances) - len(self.refused)
        if start + n_rows * handler.row_s >= self._deadline:
            raise DeadlineError(f"an answer for {n_rows} rows would come after the deadline")

    def entries(self) -> list[dict[str, Any]]:
        """What the answer says of each instance, in order. Raises as `parts` does."""
        return [entry for part in self.parts() for entry in part]

    def parts(self) -> Iterator[list[dict[str, Any]]]:
        """The same, a slice at a time. Raises DeadlineError, TaskError, InvalidInputError."""
        handler, n_instances, now, begin = self._handler, len(self._request.instances), self._start, 0
        for start in range(0, n_instances, SLICE_ROWS):
            if start:
                now, before = perf_counter(), now
                pace_s = (now - before) / SLICE_ROWS
                handler.row_s = min(handler.row_s or pace_s, pace_s)
                if now >= self._deadline:
                    raise DeadlineError(f"the deadline passed after {start} of {n_instances} rows")
            indices = range(start, min(start + SLICE_ROWS, n_instances))
            kept = [index for index in indices if index not in self.refused]
            end = begin + len(kept) * handler.columns.width
            said = iter(self._answers(self._rows[begin:end], kept))
            begin = end
            yield [payload.refusal(self.refused[k], k) if k in self.refused else next(said) for k in indices]

    def _answers(self, rows: memoryview[Any], indices: list[int]) -> list[dict[str, Any]]:
        """Answers of rows. Where a kernel refuses one, each is asked for alone."""
        handler, options = self._handler, self._request.options
        if not indices:
            return []
        try:
            return handler.answers(rows, len(indices), options)
        except InvalidInputError:
            said: list[dict[str, Any]] = []
        width = handler.columns.width
        for place, index in enumerate(indices):
            try:
                said += handler.answers(rows[place * width : (place + 1) * width], 1, options)
            except InvalidInputError as error:
                self.refused[index] = InvalidInputError(f"instance {index}: {_without_row(error)}")
        return said


def _without_row(error: InferirError) -> str:
    """The message about the only row of an answer, whose number says nothing."""
    return error.message.removeprefix("row 0, ")


def __getattr__(name: str) -> Any:
    if name != "handle":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from inferir.lambda_entry.managed import make_handle

    handle = globals()["handle"] = make_handle()  # loads the model: AWS's runtime asks for this once, when it starts
    return handle
