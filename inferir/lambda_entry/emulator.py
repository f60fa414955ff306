"""A Runtime API on this machine: starts a packaged function as Lambda would, and invokes it.

    with Emulator(folder, interpreter) as function:
        function.invoke(b'{"features": [0.5, 1.2]}')    Outcome

One event at a time, to one process. What is not emulated: freezing, limits of memory and time, and the network around.
AWS's own emulator, which is part of the AWS SAM CLI, runs the same folders; the tests use both.
"""

from __future__ import annotations

import os
import platform
import queue
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import uuid
import zipfile
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import IO, Any

from inferir.errors import BackendError, FileAccessError, InvalidInputError
from inferir.lambda_entry.bundle import START

__all__ = ["Emulator", "Outcome", "interpreter_for", "unpack"]

_PREFIX = "/2018-06-01/runtime/"
_MAX_BODY_BYTES = 6 * 1024 * 1024 + 100


@dataclass(frozen=True)
class Outcome:
    """What came of an event. `error`: it was posted as one. `seconds`: from the event's being there to its answer's."""

    body: bytes
    error: bool
    seconds: float


def unpack(path: str | os.PathLike[str], folder: str | os.PathLike[str]) -> None:
    """Unpack a zip of `inferir package` as Lambda does, with permissions. Raises FileAccessError, InvalidInputError."""
    try:
        with zipfile.ZipFile(path) as archive:
            for entry in archive.infolist():
                target = Path(archive.extract(entry, folder))
                if entry.external_attr >> 16:
                    target.chmod(entry.external_attr >> 16 & 0o777)
    except OSError as error:
        raise FileAccessError(f"{path}: expected a zip to read, got: {error.strerror}") from error
    except zipfile.BadZipFile as error:
        raise InvalidInputError(f"{path}: expected a zip of `inferir package`, got {error}") from error
    if not Path(folder, "start.py").is_file() or Path(folder, "start.py").read_text() != START:
        raise InvalidInputError(f"{path}: expected a zip of this version's `inferir package`, got another")


def interpreter_for(folder: str | os.PathLike[str]) -> str:
    """The Python that the package in `folder` was compiled for, where it is on this machine, or else this one.

    Raises BackendError where the package is for another architecture.
    """
    kernels = sorted(path.name for path in Path(folder, "inferir/kernels/aot/lib").glob("*.so"))
    machine = platform.machine()
    if not any(f".{machine}" in name for name in kernels):
        raise BackendError(f"expected a package for {machine}, which is what this machine is, got {', '.join(kernels)}")
    for bundle in Path(folder).glob("bundle.cpython-*"):
        version = bundle.name.removeprefix("bundle.cpython-")
        found = shutil.which(f"python{version[0]}.{version[1:]}")
        if found:
            return found
    return sys.executable


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Quiet where the function has gone in the middle of a word: it was told to."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


class Emulator:
    """A function in `folder`, run by `interpreter`. `log`: where its output goes; `environ`: variables it gets."""

    def __init__(
        self,
        folder: str | os.PathLike[str],
        interpreter: str,
        *,
        log: IO[Any] | int | None = None,
        environ: dict[str, str] | None = None,
        timeout_s: float = 30.0,
    ) -> None:
        self.folder, self.timeout_s = str(folder), timeout_s
        self._command = [interpreter, "-I", "-S", os.path.join(self.folder, "start.py")]
        self._log, self._environ = log, environ or {}
        self._events: queue.SimpleQueue[tuple[str, bytes]] = queue.SimpleQueue()
        self._outcomes: queue.SimpleQueue[tuple[bytes, bool, float]] = queue.SimpleQueue()

    def __enter__(self) -> Emulator:
        self._server = _Server(("127.0.0.1", 0), self._handler())
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        environ = {
            "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{self._server.server_address[1]}",
            "LAMBDA_TASK_ROOT": self.folder,
            "AWS_LAMBDA_FUNCTION_NAME": "local",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512",
            "PATH": os.environ.get("PATH", os.defpath),
            **self._environ,
        }
        try:
            self.process = subprocess.Popen(
                self._command, env=environ, cwd=tempfile.gettempdir(), stdout=self._log, stderr=self._log
            )
        except OSError as error:
            self._server.server_close()
            raise BackendError(f"expected a Python at {self._command[0]}, got: {error.strerror}") from error
        return self

    def __exit__(self, *exception: object) -> None:
        self.process.terminate()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._server.shutdown()
        self._server.server_close()

    def invoke(self, event: bytes) -> Outcome:
        """Raises BackendError where the process ends, or says nothing in time."""
        started = time.perf_counter()
        self._events.put((str(uuid.uuid4()), event))
        while True:
            try:
                body, error, answered = self._outcomes.get(timeout=0.1)
                return Outcome(body, error, answered - started)
            except queue.Empty:
                if self.process.poll() is not None and self._outcomes.empty():
                    raise BackendError(
                        f"expected an answer, got the end of the process, code {self.process.returncode}"
                    ) from None
                if time.perf_counter() - started > self.timeout_s:
                    raise BackendError(f"expected an answer within {self.timeout_s} s, got none") from None

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        events, outcomes, timeout_s = self._events, self._outcomes, self.timeout_s

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_GET(self) -> None:
                if self.path != _PREFIX + "invocation/next":
                    self._say(404, b'{"errorType": "NotFound"}')
                    return
                request_id, event = events.get()
                deadline = int((time.time() + timeout_s) * 1000)
                self._say(
                    200,
                    event,
                    {
                        "Lambda-Runtime-Aws-Request-Id": request_id,
                        "Lambda-Runtime-Deadline-Ms": str(deadline),
                        "Lambda-Runtime-Invoked-Function-Arn": "arn:aws:lambda:local:0:function:local",
                    },
                )

            def do_POST(self) -> None:
                body = self._body()
                answered = time.perf_counter()
                if len(body) > _MAX_BODY_BYTES:
                    outcomes.put((b'{"errorType": "Function.ResponseSizeTooLarge"}', True, answered))
                    self._say(413, b'{"errorType": "RequestEntityTooLarge"}')
                    return
                self._say(202, b'{"status": "OK"}')
                outcomes.put((body, self.path.endswith("/error"), answered))

            def _body(self) -> bytes:
                if self.headers.get("Transfer-Encoding") != "chunked":
                    return self.rfile.read(int(self.headers.get("Content-Length", 0)))
                pieces = []
                while size := int(self.rfile.readline().split(b";")[0], 16):
                    pieces.append(self.rfile.read(size))
                    self.rfile.readline()
                while self.rfile.readline().strip():  # trailers
                    pass
                return b"".join(pieces)

            def _say(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
                self.send_response(status)
                for name, value in (headers or {}).items():
                    self.send_header(name, value)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *arguments: object) -> None:
                """Nothing: the function's own lines are what one wants to see."""

        return Handler
