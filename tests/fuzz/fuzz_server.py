"""Requests that no client should send: `python -m tests.fuzz.fuzz_server [--requests 100000] [--seed 0]`.

Good requests of every route are damaged: bytes of the body, values of headers, methods, paths, lengths of binary
tensors. The law: the server answers every one of them or closes the connection, never with a 500, never late; after
each round of them it lives, and a good request gets its good answer.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import random
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from tests.server.serving import linear_model, read_raw, serving

ROUND = 250

#: What a request may take before it counts as a hang.
ANSWER_S = 60.0

GOOD = {"features": [1.0, 2.0]}

_BODIES: tuple[Any, ...] = (
    GOOD,
    {"features": {"a": 1, "b": None}, "model_id": "linear@1", "options": {"return_probabilities": False, "top_k": 3}},
    {"instances": [{"features": [1, 2]}, [3, 4], {"features": {"a": "x"}}]},
    {"inputs": [{"name": "input", "shape": [2, 2], "datatype": "FP64", "data": [1, 2, 3, 4]}]},
    {
        "inputs": [{"name": "input", "shape": [1, 2], "datatype": "FP32", "parameters": {"binary_data_size": 8}}],
        "id": "7",
    },
    {"dataframe_split": {"columns": ["a", "b"], "data": [[1, 2]]}},
    {"parameters": {"config": "{}"}},
)
_PATHS = (
    "/predict",
    "/predict/batch",
    "/v2/models/linear/infer",
    "/v2/models/linear/versions/1/infer",
    "/v2/models/linear",
    "/v2/models/linear/ready",
    "/v2/models/linear/stats",
    "/v2/repository/index",
    "/v2/repository/models/linear/load",
    "/invocations",
    "/models",
    "/metrics",
    "/health",
    "/openapi.json",
    "/",
)
_HEADERS = {
    "Content-Type": ("application/json", "text/csv", "application/octet-stream", "application/x-npy", "\xff", ""),
    "Inference-Header-Content-Length": ("0", "10", "-1", "99999999999999999999", "x", "1e3", ""),
    "X-Request-Timeout-Ms": ("100", "-1", "nan", "", "9" * 400),
    "X-Request-Id": ("a", "\x01", "\u00e9", "x" * 4000),
    "Authorization": ("Bearer x", "Basic", ""),
    "traceparent": ("00-" + "0" * 32 + "-" + "0" * 16 + "-01", "00-zz", "-"),
    "Content-Encoding": ("gzip", "deflate", "br", "nonsense"),
    "Transfer-Encoding": ("chunked", "identity", "chunked, chunked"),
    "Expect": ("100-continue", "more"),
    "Accept": ("application/openmetrics-text", "*/*", ";;;"),
    "Connection": ("close", "keep-alive", "upgrade"),
    "Upgrade": ("websocket", "h2c"),
    "Host": ("a", "a:b:c", ""),
}
_METHODS = ("GET", "POST", "POST", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "get", "CONNECT", "")
_VALUES = (None, True, -1, 0, 2**63, 2**70, 1e308, -1e-320, "", "x" * 300, "\ud800", [], {}, [[]], [None] * 50, "NaN")


def damaged(random_: random.Random) -> bytes:
    """One request, wrong in a way or two."""
    path = random_.choice(_PATHS)
    if random_.random() < 0.2:
        path = _cut(random_, path) + random_.choice(("", "/../x", "?a=%zz", "%00", "/\u2603", "//", "#x", "%2f" * 50))
    body = _body(random_)
    length = str(len(body)) if random_.random() < 0.9 else random_.choice(("0", "-1", "99", "1x", str(2**64), "+5"))
    lines = [f"{random_.choice(_METHODS)} {path} HTTP/1.{random_.choice('1111110')}", "Host: x"]
    for name in random_.sample(sorted(_HEADERS), random_.randrange(4)):
        lines.append(f"{name}: {random_.choice(_HEADERS[name])}")
    if random_.random() < 0.95:
        lines.append(f"Content-Length: {length}")
    head = "\r\n".join(lines).encode("utf-8", "surrogatepass") + b"\r\n\r\n"
    if random_.random() < 0.05:
        head = _flip(random_, head)
    return head + body


def _body(random_: random.Random) -> bytes:
    document = json.loads(json.dumps(random_.choice(_BODIES)))
    for _ in range(random_.randrange(3)):
        document = _change(random_, document)
    body = json.dumps(document).encode()
    kind = random_.random()
    if kind < 0.15:
        body = _flip(random_, body)
    elif kind < 0.25:
        body = body[: random_.randrange(len(body) + 1)]
    elif kind < 0.35:
        body += bytes(random_.randrange(256) for _ in range(random_.randrange(64)))
    elif kind < 0.37:
        body = b"[" * random_.randrange(1, 5000)
    return body


def _change(random_: random.Random, value: Any) -> Any:
    """The value with something inside it replaced, taken away or doubled."""
    if isinstance(value, dict) and value and random_.random() < 0.8:
        key = random_.choice(sorted(value))
        choice = random_.random()
        if choice < 0.2:
            return {k: v for k, v in value.items() if k != key}
        if choice < 0.3:
            return {**value, _cut(random_, key): value[key]}
        return {**value, key: _change(random_, value[key])}
    if isinstance(value, list) and value and random_.random() < 0.8:
        at = random_.randrange(len(value))
        if random_.random() < 0.3:
            return value[:at] + value[at:] * 2
        return [*value[:at], _change(random_, value[at]), *value[at + 1 :]]
    return random_.choice(_VALUES)


def _cut(random_: random.Random, text: str) -> str:
    at = random_.randrange(len(text) + 1)
    return text[:at] + text[at + 1 :]


def _flip(random_: random.Random, data: bytes) -> bytes:
    changed = bytearray(data)
    for _ in range(random_.randrange(1, 4)):
        if changed:
            changed[random_.randrange(len(changed))] = random_.randrange(256)
    return bytes(changed)


async def send(port: int, request: bytes) -> tuple[int, bytes]:
    """Status and body of the first answer; (0, b"") where the connection was closed without one."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request)
        head = b"HTTP/1.1 100"
        while head.startswith(b"HTTP/1.1 100"):
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), ANSWER_S)
        status, lines, _ = read_raw(head)
        length = next(int(line[16:]) for line in lines if line.startswith("Content-Length: "))
        if request.startswith(b"HEAD"):
            length = 0
        return status, await asyncio.wait_for(reader.readexactly(length), ANSWER_S)
    except (ConnectionError, asyncio.IncompleteReadError):
        return 0, b""
    finally:
        writer.close()


async def fuzz(requests: int, seed: int) -> Counter[int]:
    """Send them; how many answers had which status. Raises AssertionError with the request that breaks the law."""
    random_ = random.Random(seed)
    statuses: Counter[int] = Counter()
    good = json.dumps(GOOD).encode()
    good = b"POST /predict HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%b" % (len(good), good)
    with tempfile.TemporaryDirectory() as folder:
        path = linear_model(Path(folder) / "m.apr")
        async with serving(path, body_timeout_s=0.5, keepalive_s=1.0) as (app, url):
            port = int(url.rpartition(":")[2])
            for done in range(0, requests, ROUND):
                batch = [damaged(random_) for _ in range(min(ROUND, requests - done))]
                answers = await asyncio.gather(*[send(port, request) for request in batch], return_exceptions=True)
                for request, answer in zip(batch, answers, strict=True):
                    assert not isinstance(answer, BaseException), (answer, request)
                    assert answer[0] != 500, (answer, request)
                    statuses[answer[0]] += 1
                if not len(app.registry):  # some of them unload the model
                    await app.library.reload("linear")
                status, body = await send(port, good)
                assert (status, json.loads(body)["prediction"]) == (200, 4.0)
                assert app.admission.in_work == 0
    return statuses


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--requests", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    logging.disable(logging.CRITICAL)
    print(dict(asyncio.run(fuzz(arguments.requests, arguments.seed))))  # noqa: T201 - a script


if __name__ == "__main__":
    main()
