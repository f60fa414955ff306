"""Batches of records: each is answered by itself, and those that cannot be are given back to be sent again.

    SQS       a record's body is a request; all are tried. A FIFO queue keeps its order: after a failure no more is.
    Kinesis   a record's data is a request, in base64. Lambda sends again from the first failure on, so there it ends.
    S3        an object that was written is scored, row after row, and the answers are written beside it.

The answer names failures as Lambda wants them, {"batchItemFailures": [{"itemIdentifier": ...}]}, which it reads where
the event source is set to ReportBatchItemFailures. An empty list is success; there is no other way to say that.

Predictions go to the log, a line each, or to objects under s3://bucket/prefix (INFERIR_RESULTS).
"""

from __future__ import annotations

from io import BytesIO
from time import time

from inferir.errors import InferirError, InvalidInputError
from inferir.lambda_entry import jsontext
from inferir.lambda_entry.errors import DeadlineError, RequestError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import IO, Any

    from inferir.lambda_entry.call import Call
    from inferir.lambda_entry.function import Function

__all__ = ["RESULT_SUFFIX", "answer_records"]

#: What the answers to an object are called. Objects of this name are no input, or a function would feed itself.
RESULT_SUFFIX = ".predictions.jsonl"

#: Rows of an object that are answered at a time.
_BATCH_ROWS = 1000

#: Milliseconds before the deadline in which no other record is begun: results have to be written, too.
_MARGIN_MS = 200.0


def answer_records(records: list[Any], function: Function, call: Call) -> Any:
    """Raises InvalidInputError (E006) for records of a source that is not known."""
    source = records[0].get("eventSource") or records[0].get("EventSource")
    respond = _SOURCES.get(source)
    if respond is None:
        raise InvalidInputError(f"records: expected one of {', '.join(_SOURCES)} as eventSource, got {source!r}")
    return respond(records, function, call)


def _sqs(records: list[Any], function: Function, call: Call) -> Any:
    ordered = "MessageGroupId" in (records[0].get("attributes") or {})
    return _each(records, function, call, lambda r: r["messageId"], lambda r: r["body"], stops=ordered, rest=ordered)


def _kinesis(records: list[Any], function: Function, call: Call) -> Any:
    from binascii import a2b_base64

    def sequence_number(record: Any) -> str:
        number: str = record["kinesis"]["sequenceNumber"]
        return number

    return _each(
        records, function, call, sequence_number, lambda r: a2b_base64(r["kinesis"]["data"]), stops=True, rest=False
    )


def _each(
    records: list[Any],
    function: Function,
    call: Call,
    identify: Callable[[Any], str],
    body: Callable[[Any], str | bytes],
    stops: bool,
    rest: bool,
) -> dict[str, Any]:
    """Answer records one by one. `stops`: none is tried after a failure; `rest`: those are failures as well."""
    failures: list[str] = []
    results: list[dict[str, Any]] = []
    for place, record in enumerate(records):
        try:
            name = identify(record)
        except (KeyError, TypeError):
            raise InvalidInputError(f"records: expected record {place} to have an identifier") from None
        if failures and stops:
            if rest:
                failures.append(name)
            continue
        try:
            said = _one(record, body, function, call)
        except Exception as error:
            if not isinstance(error, (InferirError, RequestError)):
                function.log_unexpected(error)
            else:
                function.logger.write("WARN", "records", f"record {name}: {error}", exception_name=type(error).__name__)
            failures.append(name)
        else:
            results.append({"record_id": name, **said})
    _keep(results, function, call)
    return {"batchItemFailures": [{"itemIdentifier": name} for name in failures]}


def _one(record: Any, body: Callable[[Any], str | bytes], function: Function, call: Call) -> dict[str, Any]:
    remaining_ms = call.remaining_ms(time() * 1e3) - _MARGIN_MS
    if remaining_ms <= 0:
        raise DeadlineError("the deadline is too near for another record")
    try:
        document = jsontext.loads(body(record))
    except (ValueError, KeyError, TypeError) as error:  # binascii.Error is a ValueError
        raise InvalidInputError(f"expected a record with a JSON body, got {error}") from None
    return function.handler.reply(document, call.request_id, remaining_ms)


def _keep(results: list[dict[str, Any]], function: Function, call: Call) -> None:
    """Write the predictions where they are wanted. An error of that is one of the whole event: it is sent again."""
    place = function.settings.results
    if place == "log":
        for said in results:
            function.logger.write_text(jsontext.dumps({"level": "INFO", "message": "prediction", **said}))
    elif results:
        from inferir.lambda_entry.s3 import Bucket, parse_url

        bucket, prefix = parse_url(place)
        lines = "".join(jsontext.dumps(said) + "\n" for said in results)
        key = f"{prefix.rstrip('/')}/{int(time() * 1000)}-{call.request_id}.jsonl"
        Bucket(bucket).write(key, BytesIO(lines.encode("ascii")))


def _s3(records: list[Any], function: Function, call: Call) -> Any:
    from urllib.parse import unquote_plus

    from inferir.lambda_entry.s3 import Bucket

    done = []
    for record in records:
        try:
            name, key = record["s3"]["bucket"]["name"], unquote_plus(record["s3"]["object"]["key"])
        except (KeyError, TypeError):
            raise InvalidInputError("records: expected s3.bucket.name and s3.object.key") from None
        if key.endswith(RESULT_SUFFIX):
            continue
        bucket = Bucket(name)
        rows = _rows(key, bucket.read(key))
        from tempfile import TemporaryFile

        with TemporaryFile() as file:
            counts = _score(rows, file, function, call)
            bucket.write(key + RESULT_SUFFIX, file)
        done.append({"bucket": name, "key": key + RESULT_SUFFIX, **counts})
    return {"written": done}


def _rows(key: str, pieces: Iterator[bytes]) -> Iterator[Any]:
    """Features of each row: of .csv with a header by name, of anything else as JSON Lines."""
    lines = _lines(pieces)
    if not key.lower().endswith(".csv"):
        for number, line in enumerate(lines, 1):
            if line.strip():
                try:
                    row = jsontext.loads(line)
                except ValueError as error:
                    raise InvalidInputError(f"{key}, line {number}: {error}") from None
                yield row["features"] if type(row) is dict and "features" in row else row
        return
    from _csv import reader

    table = reader(lines)
    names = next(table, [])
    for cells in table:
        if cells:
            yield dict(zip(names, map(_cell, cells)))  # noqa: B905 - what is missing or too much is refused later


def _cell(text: str) -> Any:
    """A number where the text is one, None for nothing: as `inferir predict` reads CSV."""
    if not text:
        return None
    try:
        return float(text)
    except ValueError:
        return text


def _lines(pieces: Iterator[bytes]) -> Iterator[str]:
    rest = b""
    for piece in pieces:
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            yield line.decode("utf-8")
    if rest:
        yield rest.decode("utf-8")


def _score(rows: Iterator[Any], file: IO[bytes], function: Function, call: Call) -> dict[str, int]:
    """Write a line for each row: what `payload.reply` says of it, its number in place of the index of a batch."""
    n_rows = n_errors = 0
    while True:
        batch = [row for _, row in zip(range(_BATCH_ROWS), rows)]  # noqa: B905
        if not batch:
            return {"rows": n_rows, "errors": n_errors}
        remaining_ms = call.remaining_ms(time() * 1e3) - _MARGIN_MS
        reply = function.handler.reply({"instances": batch}, call.request_id, remaining_ms)
        for said in reply["predictions"]:
            if "index" in said:
                said["index"] += n_rows
                n_errors += 1
            file.write(jsontext.dumps(said).encode("ascii") + b"\n")
        n_rows += len(batch)


_SOURCES: dict[Any, Callable[[list[Any], Function, Call], Any]] = {
    "aws:sqs": _sqs,
    "aws:kinesis": _kinesis,
    "aws:s3": _s3,
}
