"""Fuzz the protocols: `python tests/fuzz/fuzz_protocols.py [count] [seed]`, from the root of the project.

Right requests for every route are made wrong: paths, methods, headers, JSON values, CSV, lengths and bytes of binary
tensors. They go through the gate, as they do when they have been read, which is fast; `fuzz_server.py` sends its own
over sockets.

The law: an answer, in time, and never a 500. An error is JSON with a message and a code; afterwards the server is well.
"""

from __future__ import annotations

import asyncio
import json
import random
import struct
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from multidict import CIMultiDict

sys.path.insert(0, str(Path(__file__).parents[2]))  # as a script, without installing

from inferir.demo import FOLDER
from inferir.server.request.replies import Reply
from tests.server.serving import serving

ANSWER_S = 120.0

ALLOWED = {200, 400, 401, 403, 404, 405, 408, 409, 411, 413, 414, 415, 417, 426, 431, 501, 503, 504, 505}

METHODS = ["GET", "POST", "PUT", "DELETE", "HEAD", "PATCH", "OPTIONS", "", "get", "\x00"]
LENGTHS = ["0", "1", "-1", "9" * 30, "1e3", "", " 7", "\u0667", "0x10", "+5", "12.0", "None"]
VALUES: list[Any] = [
    *(None, True, False, 0, 1, -1, 2, 7, 31, 255, 256, 2**31, 2**53, 2**63, 2**64, -(2**63), 10**400, 1.5, -0.0, 1e308),
    *("", "a", "Adelie", "1", "nan", "\u0000", "\ud7ff", "x" * 1000, "FP32", "BYTES", "BOOL", "FP16", "BF16", "INT8"),
    *([], {}, [[]], [None], [[1, 2], [3]], {"a": 1}, [[[[[[[[[1]]]]]]]]], ["a", 1], [1, "a"]),
]
HEADERS = [
    ("Content-Type", ["application/json", "text/csv", "application/jsonlines", "", "x", "text/csv; header=present"]),
    ("Accept", ["application/json", "text/csv", "*/*", "image/png", "application/openmetrics-text", ""]),
    ("Accept-Encoding", ["gzip", "deflate", "br", "gzip, deflate"]),
    ("Inference-Header-Content-Length", LENGTHS),
    ("X-Request-Timeout-Ms", ["1000", "0", "-1", "nan", "inf", "x", "1e9", ""]),
    ("X-Request-Id", ["", "x" * 9999, "a\x00b", "\xff"]),
    ("traceparent", ["", "00-1-2-3", "00-" + "a" * 32 + "-" + "b" * 16 + "-01"]),
    ("X-Amzn-SageMaker-Target-Model", ["penguins", "penguins.apr", "../x", ""]),
    ("Authorization", ["Bearer x", "Basic x", ""]),
]


class Request(NamedTuple):
    method: str
    path: str
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""


PENGUIN = ["Adelie", "Dream", 39.1, 18.7, 181, 3750]
NAMES = ["species", "island", "bill_length_mm", "bill_depth_mm", "flipper_length_mm", "body_mass_g"]


def seeds() -> list[Request]:
    """Requests that are right, at least one for every route."""
    columns = [
        {"name": name, "shape": [1, 1], "datatype": "BYTES" if isinstance(value, str) else "FP64", "data": [value]}
        for name, value in zip(NAMES, PENGUIN, strict=True)
    ]
    rows = np.arange(60, dtype="<f4").tobytes()
    text = struct.pack("<I", 6) + b"Adelie"
    tensor = {"name": "x", "shape": [2, 30], "datatype": "FP32", "parameters": {"binary_data_size": len(rows)}}
    head = json.dumps({"id": "7", "inputs": [tensor], "parameters": {"binary_data_output": True}}).encode()
    mixed = dict(columns[0], parameters={"binary_data_size": len(text)})
    del mixed["data"]
    head_text = json.dumps({"inputs": [mixed, *columns[1:]], "outputs": [{"name": "probabilities"}]}).encode()
    length = "Inference-Header-Content-Length"
    posts: list[tuple[str, Any]] = [
        ("/predict", {"model_id": "penguins", "features": PENGUIN, "options": {"top_k": 1}}),
        ("/predict", {"features": dict(zip(NAMES, PENGUIN, strict=True))}),
        ("/predict/batch", {"model_id": "penguins@1", "instances": [{"features": PENGUIN}, PENGUIN]}),
        ("/v2/models/penguins/infer", {"inputs": columns, "outputs": [{"name": "probabilities",
                                       "parameters": {"classification": 2, "binary_data": True}}]}),
        ("/v2/models/breast_cancer/versions/1/infer", {"inputs": [{"name": "input", "shape": [1, 30],
                                       "datatype": "FP64", "data": [list(range(30))]}], "id": "7"}),
        ("/v2/repository/index", {"ready": True}),
        ("/v2/repository/models/penguins/load", {"parameters": {}}),
        ("/invocations", {"dataframe_split": {"columns": NAMES, "data": [PENGUIN]}}),
        ("/invocations", {"dataframe_records": [dict(zip(NAMES, PENGUIN, strict=True))]}),
        ("/invocations", {"instances": [PENGUIN], "params": {"predict_method": "predict_proba"}}),
        ("/invocations", {"inputs": {name: [value] for name, value in zip(NAMES, PENGUIN, strict=True)}}),
    ]  # fmt: skip
    gets = [
        "/",
        "/docs",
        "/openapi.json",
        "/page/live",
        "/page/models",
        "/page/page.js",
        "/health",
        "/ready",
        "/models",
    ]
    gets += ["/metrics", "/v2", "/v2/health/live", "/v2/health/ready", "/v2/models/penguins", "/v2/models/stats"]
    gets += ["/v2/models/penguins/versions/1/ready", "/v2/models/penguins/config", "/ping", "/version"]
    return [
        *[Request("GET", path) for path in gets],
        *[Request("POST", path, (), json.dumps(body).encode()) for path, body in posts],
        Request("POST", "/v2/models/breast_cancer/infer", ((length, str(len(head))),), head + rows),
        Request("POST", "/v2/models/breast_cancer/infer", ((length, "0"),), rows),
        Request("POST", "/v2/models/penguins/infer", ((length, str(len(head_text))),), head_text + text),
        Request("POST", "/invocations", (("Content-Type", "text/csv"),), b"Adelie,Dream,39.1,18.7,181,3750\n"),
        Request("POST", "/invocations", (("Content-Type", "application/jsonlines"),), json.dumps(PENGUIN).encode()),
    ]


class Mutator:
    """Makes requests wrong."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._seeds = seeds()

    def request(self) -> Request:
        rng = self._rng
        made = rng.choice(self._seeds)
        for _ in range(rng.choice([0, 1, 1, 1, 2, 3])):
            made = rng.choice([self._body, self._body, self._body, self._header, self._path, self._method])(made)
        return made

    def bytes(self, data: bytes) -> bytes:
        """A few bytes changed, cut out, put in or doubled."""
        rng, changed = self._rng, bytearray(data)
        for _ in range(rng.randint(1, 4)):
            at = rng.randint(0, len(changed))
            kind = rng.randrange(4)
            if kind == 0 and at < len(changed):
                changed[at] = rng.choice([0, 255, 0x80, rng.randrange(256)])
            elif kind == 1:
                del changed[at : at + rng.choice([1, 2, 9, 99])]
            elif kind == 2:
                changed[at:at] = rng.choice([b"[" * 3000, b"\xff\xff\xff\xff", b"\x00", b"NaN", b"{", b'"', b"1e999"])
            else:
                changed += changed[at : at + 50]
        return bytes(changed)

    def _body(self, made: Request) -> Request:
        if self._rng.random() < 0.6:
            length = next((int(value) for name, value in made.headers if name.startswith("Inference")
                           and value.isdecimal() and value.isascii() and len(value) < 9), len(made.body))  # fmt: skip
            head, tail = made.body[:length], made.body[length:]
            try:
                document = json.loads(head)
            except (ValueError, RecursionError):
                document = None
            if document is not None:
                changed = json.dumps(self._value(document)).encode()
                headers = tuple(
                    (name, str(len(changed)) if name.startswith("Inference") and self._rng.random() < 0.9 else value)
                    for name, value in made.headers
                )
                return made._replace(headers=headers, body=changed + tail)
        return made._replace(body=self.bytes(made.body))

    def _value(self, value: Any) -> Any:
        """The JSON value with something within it replaced, left out, or doubled."""
        rng = self._rng
        if isinstance(value, dict) and value and rng.random() < 0.85:
            name = rng.choice(list(value))
            changed = dict(value)
            kind = rng.random()
            if kind < 0.1:
                del changed[name]
            elif kind < 0.2:
                changed[str(rng.choice(VALUES))[:50]] = changed.pop(name)
            else:
                changed[name] = self._value(value[name])
            return changed
        if isinstance(value, list) and value and rng.random() < 0.85:
            at = rng.randrange(len(value))
            changed_list = list(value)
            kind = rng.random()
            if kind < 0.1:
                del changed_list[at]
            elif kind < 0.2:
                changed_list.insert(at, changed_list[at])
            else:
                changed_list[at] = self._value(value[at])
            return changed_list
        return rng.choice(VALUES)

    def _header(self, made: Request) -> Request:
        name, values = self._rng.choice(HEADERS)
        kept = tuple(each for each in made.headers if each[0] != name)
        return made._replace(headers=(*kept, (name, self._rng.choice(values))))

    def _path(self, made: Request) -> Request:
        rng = self._rng
        parts = made.path.split("/")
        parts[rng.randrange(len(parts))] = rng.choice(
            ["", "..", "%00", "%ff", "%", "x" * 9000, "a@1", "?", "\u2603", "1"]
        )
        return made._replace(path="/".join(parts) or "/")

    def _method(self, made: Request) -> Request:
        return made._replace(method=self._rng.choice(METHODS))


def check(status: int, body: bytes, request: Any) -> str:
    """What came, in a word. Raises AssertionError where it is against the law."""
    assert status in ALLOWED, (status, body[:500], request)
    if status >= 400 and body:
        said = json.loads(body)
        assert isinstance(said["error"], str), (said, request)
        assert said.get("code") or said["error"] == "service_overloaded", (said, request)
        assert "Traceback" not in body.decode(), request
    return str(status)


async def fuzz(count: int, seed: int) -> Counter[str]:
    """Outcomes of `count` requests by status."""
    mutator, found = Mutator(random.Random(seed)), Counter[str]()
    models = [str(FOLDER / f"{name}.apr") for name in ("penguins", "breast_cancer")]
    async with serving(*models) as (app, _):
        for _ in range(count):
            request = mutator.request()
            exchange = app.gate.begin(request.method, request.path, CIMultiDict(request.headers))
            exchange.body = request.body
            answer = app.gate.answer(exchange)
            reply = answer if isinstance(answer, Reply) else await asyncio.wait_for(answer, ANSWER_S)
            found[check(reply.status, reply.body, request)] += 1
        assert app.admission.in_work == 0
        assert app.parts.ready()
    return found


def run(count: int, seed: int) -> Counter[str]:
    return asyncio.run(fuzz(count, seed))


if __name__ == "__main__":
    numbers = [int(argument) for argument in sys.argv[1:]]
    began = time.monotonic()
    outcomes = run(*(numbers + [100_000, 1][len(numbers) :]))
    for outcome, times in sorted(outcomes.items()):
        print(f"{times:8} {outcome}")  # noqa: T201 - a script
    print(f"{time.monotonic() - began:8.1f} s")  # noqa: T201
