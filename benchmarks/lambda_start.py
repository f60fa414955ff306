"""A start in AWS Lambda, beside AWS's Python runtime: one run, one machine, in turns; Markdown on standard output.

    python -m benchmarks.lambda_start [--python python3.13] [--rounds 30] [--invocations 20000]

Needs awslambdaric and scikit-learn, and for --python another version than this one nothing but that interpreter. The
model is a forest of 100 trees. Measured is from the start of a process to its first answer, as a Runtime API over a
socket sees it; beside it, in each round:

    bare interpreter            python -I -S -c pass, until it ends
    Inferir's loop              the zip of `inferir package`, unpacked
    awslambdaric, empty         a handler that returns a constant
    awslambdaric + Inferir      the zip with its handler
    awslambdaric + original     the forest in scikit-learn, from a joblib file

Then a warm invocation: from the event's leaving to the answer's arrival, beside the exchange alone: the same event and
an answer of the same size over the same kind of connection, by a loop that reads nothing of the event and computes
nothing, so that all of our client counts as ours. Events have the headers of AWS's emulator. Failures in many
invocations; and the peak of memory with a model of a megabyte.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import joblib
import numpy as np
from sklearn.ensemble import RandomForestClassifier

import inferir
from inferir.lambda_entry.emulator import unpack
from inferir.lambda_entry.package import Options, build

COLUMNS = 20

REQUEST_ID = "6b1b9396-034a-4603-bc9b-bc2c5b3eaa84"

#: Asks and answers as little as a function can: what is left of a warm invocation is the exchange itself.
CONSTANT = f"""
import _socket, os
host, port = os.environ["AWS_LAMBDA_RUNTIME_API"].split(":")
s = _socket.socket(2, 1, 0)
s.connect((host, int(port)))
s.setsockopt(6, 1, 1)
host = "HTTP/1.1\\r\\nHost: " + host + ":" + port + "\\r\\nUser-Agent: constant\\r\\n"
answer = '{{"prediction": 1, "latency_ms": 0.035, "model_id": "forest", "model_version": "1", '
answer += '"request_id": "{REQUEST_ID}"}}'
length = "Content-Type: application/json\\r\\nContent-Length: " + str(len(answer)) + "\\r\\n\\r\\n"
get = ("GET /2018-06-01/runtime/invocation/next " + host + "\\r\\n").encode()
post = ("POST /2018-06-01/runtime/invocation/{REQUEST_ID}/response " + host + length + answer).encode()
while True:
    s.sendall(get)
    s.recv(65536)
    s.sendall(post)
    s.recv(65536)
"""

ACCEPTED = (
    b"HTTP/1.1 202 Accepted\r\nContent-Type: application/json\r\nDate: Sat, 21 Nov 2026 09:47:28 GMT\r\n"
    b'Content-Length: 16\r\n\r\n{"status":"OK"}\n'
)


class Peer:
    """A Runtime API that sends the same event over and over, and one process that it is spoken to by."""

    def __init__(self, command: list[str], environ: dict[str, str], event: bytes) -> None:
        self._server = socket.create_server(("127.0.0.1", 0))
        host = f"127.0.0.1:{self._server.getsockname()[1]}"
        head = (
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
            f"Lambda-Runtime-Aws-Request-Id: {REQUEST_ID}\r\n"
            f"Lambda-Runtime-Deadline-Ms: {int(time.time() * 1000) + 3_600_000}\r\n"
            "Lambda-Runtime-Invoked-Function-Arn: arn:aws:lambda:us-east-1:012345678912:function:test_function\r\n"
            f"Date: Sat, 21 Nov 2026 09:47:28 GMT\r\nContent-Length: {len(event)}\r\n\r\n"
        )
        self._event = head.encode() + event
        self._connection: socket.socket | None = None
        self.started = time.perf_counter()
        self.process = subprocess.Popen(
            command, env={**environ, "AWS_LAMBDA_RUNTIME_API": host},
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd=tempfile.gettempdir(),
        )  # fmt: skip

    def answer(self) -> tuple[bytes, float, float]:
        """The next answer: its bytes, when the event left, when the answer was here."""
        if self._connection is None:
            self._server.settimeout(60)
            self._connection, _ = self._server.accept()
            self._connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while True:
            head, body = self._read()
            if head.startswith(b"POST"):
                arrived = time.perf_counter()
                self._connection.sendall(ACCEPTED)
                assert b"/response " in head, body
                return body, self._left, arrived
            self._left = time.perf_counter()
            self._connection.sendall(self._event)

    def _read(self) -> tuple[bytes, bytes]:
        assert self._connection is not None
        data = b""
        while b"\r\n\r\n" not in data:
            more = self._connection.recv(65536)
            if not more:  # awslambdaric makes a connection for each kind of request
                self._connection, _ = self._server.accept()
            data += more
        head, body = data.split(b"\r\n\r\n", 1)
        length = re.search(rb"content-length: *(\d+)", head, re.IGNORECASE)
        while length and len(body) < int(length[1]):
            body += self._connection.recv(65536)
        return head, body

    def close(self) -> str:
        """What the process wrote to standard error."""
        self.process.kill()
        said = self.process.communicate()[1].decode("utf-8", "replace")
        if self._connection is not None:
            self._connection.close()
        self._server.close()
        return said


@contextmanager
def running(command: list[str], environ: dict[str, str], event: bytes) -> Iterator[Peer]:
    peer = Peer(command, environ, event)
    try:
        yield peer
    finally:
        peer.close()


def forest(depth: int) -> tuple[Any, Any]:
    rng = np.random.default_rng(0)
    rows = rng.random((4000, COLUMNS))
    labels = (rows[:, :6].sum(axis=1) + rng.normal(0, 0.3, 4000) > 3).astype(int)
    return RandomForestClassifier(100, max_depth=depth, random_state=0).fit(rows, labels), rows


def packaged(estimator: Any, interpreter: str, folder: Path, entry: str = "loop") -> tuple[int, int]:
    """Unpack a package into `folder`; bytes of the .apr file, and of the zip without what is made from it."""
    arch = {"x86_64": "x86_64", "aarch64": "arm64"}[platform.machine()]
    contents = inferir.convert(estimator, name="forest", version="1").to_bytes()
    made = build(contents, Options(arch, "provided.al2023", interpreter=interpreter, entry=entry))
    path = folder.with_suffix(".zip")
    path.write_bytes(made.zip())
    unpack(path, folder)
    model_bytes = len(made.files["model/model.apr"])
    for name in [name for name in made.files if name.startswith("model/")]:  # the file, its plan, its tables
        del made.files[name]
    return model_bytes, len(made.zip())


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--invocations", type=int, default=20_000)
    options = parser.parse_args()
    write = sys.stdout.write
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        estimator, rows = forest(6)
        row = rows[0].tolist()
        event = json.dumps({"features": row}).encode()
        model_bytes, zip_bytes = packaged(estimator, options.python, folder / "task")
        packaged(estimator, sys.executable, folder / "managed", "handler")
        joblib.dump(estimator, folder / "forest.joblib")
        (folder / "constant.py").write_text(CONSTANT)
        (folder / "empty.py").write_text("def handler(event, context):\n    return {'prediction': 1}\n")
        (folder / "original.py").write_text(
            f"import joblib\nmodel = joblib.load({str(folder / 'forest.joblib')!r})\n"
            "def handler(event, context):\n"
            "    return {'prediction': int(model.predict([event['features']])[0])}\n"
        )
        environ = {
            **os.environ, "LAMBDA_TASK_ROOT": str(folder / "task"), "PYTHONPATH": f"{folder}:{folder / 'managed'}",
            "_HANDLER": "x", "AWS_LAMBDA_FUNCTION_NAME": "f", "AWS_LAMBDA_FUNCTION_VERSION": "1",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "128",
        }  # fmt: skip
        loop = [options.python, "-I", "-S", str(folder / "task" / "start.py")]
        aws = [sys.executable, "-m", "awslambdaric"]
        commands = {
            "Inferir's loop": loop,
            "awslambdaric, empty handler": [*aws, "empty.handler"],
            "awslambdaric + Inferir's handler": [*aws, "inferir.lambda_entry.handler.handle"],
            "awslambdaric + the original in scikit-learn": [*aws, "original.handler"],
        }
        starts(write, options, commands, environ, event)
        phases(write, loop, environ, event)
        warm(write, options, loop, [options.python, "-I", "-S", str(folder / "constant.py")], environ, event)
        write(f"\nzip without the model: {zip_bytes:,} bytes; the model: {model_bytes:,} bytes\n")
        estimator, _ = forest(11)
        model_bytes, _ = packaged(estimator, options.python, folder / "large")
        memory(write, folder / "large", options.python, environ, event, model_bytes)


def starts(write: Any, options: Any, commands: dict[str, list[str]], environ: dict[str, str], event: bytes) -> None:
    """Process start to first answer."""
    times: dict[str, list[float]] = {"bare interpreter": [], **{name: [] for name in commands}}
    for number in range(options.rounds):
        begin = time.perf_counter()
        subprocess.run([options.python, "-I", "-S", "-c", "pass"], check=True)
        times["bare interpreter"].append(time.perf_counter() - begin)
        for name, command in commands.items():
            if "original" in name and number % 5:  # a second each
                continue
            with running(command, environ, event) as peer:
                times[name].append(peer.answer()[2] - peer.started)
    bare = statistics.median(times["bare interpreter"])
    write(f"Python {options.python}, median of {options.rounds}; the original's of {-(-options.rounds // 5)}\n\n")
    write("| process start to first answer | ms | times the bare interpreter |\n|---|---|---|\n")
    for name, seconds in times.items():
        middle = statistics.median(seconds)
        write(f"| {name} | {middle * 1e3:.1f} | {middle / bare:.2f} |\n")


def phases(write: Any, loop: list[str], environ: dict[str, str], event: bytes) -> None:
    peer = Peer(loop, environ, event)
    peer.answer()
    write(f"\nphases of one start: {peer.close().splitlines()[0]}\n")


def warm(write: Any, options: Any, loop: list[str], constant: list[str], environ: dict[str, str], event: bytes) -> None:
    """A warm invocation, beside the exchange alone, in turns of 500."""
    seconds: dict[str, list[float]] = {"loop": [], "constant": []}
    wrong = 0
    with running(loop, environ, event) as ours, running(constant, environ, event) as bare:
        right = json.loads(ours.answer()[0])["prediction"]
        bare.answer()
        for _ in range(-(-options.invocations // 500)):
            for name, peer in (("loop", ours), ("constant", bare)):
                for _ in range(500):
                    body, left, arrived = peer.answer()
                    seconds[name].append(arrived - left)
                    wrong += name == "loop" and json.loads(body)["prediction"] != right
    ours_us, bare_us = (statistics.median(seconds[name]) * 1e6 for name in ("loop", "constant"))
    write(
        f"\nwarm invocation: {ours_us:.0f} us, the exchange alone {bare_us:.0f} us: {ours_us - bare_us:.0f} us beyond; "
    )
    write(f"{wrong} failures in {len(seconds['loop']):,} invocations\n")


def memory(write: Any, folder: Path, interpreter: str, environ: dict[str, str], event: bytes, model_bytes: int) -> None:
    command = [interpreter, "-I", "-S", str(folder / "start.py")]
    with running(command, {**environ, "LAMBDA_TASK_ROOT": str(folder)}, event) as peer:
        for _ in range(200):
            peer.answer()
        status = Path(f"/proc/{peer.process.pid}/status").read_text()
    peak = re.search(r"VmHWM:\s*(\d+) kB", status)
    assert peak is not None
    write(f"peak memory with a model of {model_bytes:,} bytes: {int(peak[1]) / 1000:.1f} MB\n")


if __name__ == "__main__":
    main()
