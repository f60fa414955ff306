"""Settings of the server: one frozen object, made once, handed down. Nothing else reads the environment.

What is said later in this list wins:

    the default below
    a TOML file (`--config`, or INFERIR_CONFIG), keys spelled as the fields
    the environment, INFERIR_ and the field in capitals: INFERIR_MAX_CONCURRENCY=32
    the command line: --max-concurrency 32

One field, one line of documentation: `inferir serve --help`, `--print-settings` and docs/reference/settings.md are made
from them.
"""

from __future__ import annotations

import dataclasses
import math
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from inferir.errors import FileAccessError, InvalidInputError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = [
    "CONCURRENCY_BY_MEMORY_MIB",
    "ENVIRONMENT_PREFIX",
    "SECRET",
    "Settings",
    "default_concurrency",
    "default_receiving_bytes",
    "from_layers",
]

ENVIRONMENT_PREFIX = "INFERIR_"

#: Shown in place of what must not be shown.
SECRET = "********"

#: Memory of the machine or container in MiB -> requests in work at once.
CONCURRENCY_BY_MEMORY_MIB: Mapping[int, int] = {128: 8, 256: 32, 512: 64, 1024: 128}

T = TypeVar("T")


def default_concurrency(memory_mib: int) -> int:
    """The preset of the largest memory size that is not above `memory_mib`; 8 below all of them."""
    fitting = [limit for size, limit in CONCURRENCY_BY_MEMORY_MIB.items() if size <= memory_mib]
    return max(fitting, default=min(CONCURRENCY_BY_MEMORY_MIB.values()))


def default_receiving_bytes(memory_mib: int, workers: int) -> int:
    """An eighth of the memory, over all workers, and at most 256 MiB for each."""
    return min(memory_mib * 2**20 // 8 // workers, 256 * 2**20)


def _setting(
    default: T,
    about: str,
    *,
    choices: tuple[str, ...] = (),
    low: float | None = None,
    high: float = math.inf,
    secret: bool = False,
) -> T:
    meta = {"help": about, "choices": choices, "low": low, "high": high, "secret": secret}
    made: T = field(default=default, metadata=meta)
    return made


@dataclass(frozen=True)
class Settings:
    """Sizes are in bytes, times in seconds unless the name says otherwise."""

    models: tuple[str, ...] = _setting((), "Model files, and folders of them.")
    host: str = _setting("127.0.0.1", "Address to listen on. Other than loopback needs API keys, or --insecure.")
    port: int = _setting(8080, "Port for HTTP; 0 takes a free one.", low=0, high=65535)
    grpc_port: int = _setting(
        -1, "Port for gRPC (needs the extra `grpc`); 0 takes a free one, -1 none.", low=-1, high=65535
    )
    workers: int = _setting(1, "Processes that answer on the port.", low=1)
    default_model: str = _setting("", "Model that answers where none is named. Empty: the first one loaded.")
    aliases: tuple[str, ...] = _setting((), "Other names of models: NAME=MODEL or NAME=MODEL@VERSION.")
    watch_s: float = _setting(1.0, "Seconds between looks at the files and folders for changes; 0: never.", low=0)
    memory_limit_bytes: int = _setting(0, "Memory for models; the one unused longest is unloaded. 0: no limit.", low=0)
    backend: str = _setting("auto", "Kernels to use; `inferir info` lists them.")
    threads: int = _setting(0, "Threads for large batches; 0: one per core, shared by the workers.", low=0)
    trusted_keys: tuple[str, ...] = _setting((), "Public keys whose signatures are accepted; then all models need one.")

    timeout_s: float = _setting(30.0, "Deadline of a request that brings none of its own.", low=0.001)
    max_concurrency: int = _setting(
        0, "Requests in work at once in each worker; 0: by memory, 64 from 512 MiB, 128 from 1 GiB.", low=0
    )
    max_queue: int = _setting(256, "Requests that wait for their turn in each worker; one more is answered 503.", low=0)
    adaptive: bool = _setting(False, "Move the concurrency limit with the latency, between 1 and --max-concurrency.")
    rate_limit: float = _setting(
        0.0,
        "Requests for predictions a second of each API key, of all clients where there are no keys, in each worker; "
        "more is answered 429. 0: no limit.",
        low=0,
        high=1e9,
    )
    rate_burst: int = _setting(0, "So many of them may come at once; 0: as many as in a second.", low=0)
    max_connections: int = _setting(10_000, "Open connections per worker; more are closed at once.", low=1)
    max_body_bytes: int = _setting(16 * 2**20, "Largest body of a request.", low=1)
    max_receiving_bytes: int = _setting(
        0,
        "Bytes of bodies on their way at once, per worker; more is answered 503. 0: an eighth of the memory, shared by "
        "the workers, at most 256 MiB each. At least one body of max_body_bytes always fits.",
        low=0,
    )
    max_batch_rows: int = _setting(100_000, "Most rows in one request.", low=1)
    body_timeout_s: float = _setting(10.0, "For a request's head and body to arrive.", low=0.001)
    keepalive_s: float = _setting(75.0, "A connection may be idle this long.", low=0)
    shutdown_s: float = _setting(30.0, "For requests in work to end when the server is told to stop.", low=0)

    batching: str = _setting(
        "auto",
        "Answer single requests together: on, off, or auto: where it is faster by what was measured at load.",
        choices=("auto", "on", "off"),
    )
    batch_rows: int = _setting(1024, "Most rows in such a batch.", low=1)
    batch_budget_ms: float = _setting(5.0, "Longest time that the kernel may need for such a batch.", low=0)
    cache_answers: int = _setting(0, "Answers to keep, by model, version and input; 0: none.", low=0)

    api_keys_file: str = _setting("", "File of API keys, a line each: KEY SCOPES NAME.")
    api_keys: str = _setting("", "API keys as in the file, with ; between lines. For the environment.", secret=True)
    insecure: bool = _setting(False, "Listen beyond loopback without API keys.")
    tls_certificate: str = _setting("", "Certificate (PEM) for TLS.")
    tls_key: str = _setting("", "Its private key (PEM).")
    tls_client_ca: str = _setting("", "Certificates (PEM) that clients have to show one of: mutual TLS.")

    log_format: str = _setting("text", "Log lines: text or json.", choices=("text", "json"))
    log_requests: bool = _setting(False, "A log line for every request; needs log_format json.")
    metrics: bool = _setting(True, "Count and time requests; without, /metrics has the process only.")
    drift_rows_per_s: int = _setting(
        100, "Rows a second that are looked at for drift, of each version with a baseline; 0: none.", low=0, high=10_000
    )
    drift_window_s: float = _setting(3600.0, "Drift scores are of the rows of so many seconds.", low=1)
    remember: int = _setting(0, "Predictions that are remembered by request id until the truth comes; 0: none.", low=0)
    truth_window: int = _setting(
        1000, "Accuracies and errors are of so many predictions, the last whose truth is known.", low=1, high=100_000
    )
    otlp_endpoint: str = _setting("", "Where traces go (OTLP over HTTP; needs the extra `otel`). Empty: nowhere.")
    docs: bool = _setting(True, "Serve the web page, /docs and /openapi.json.")

    def __post_init__(self) -> None:
        for each in dataclasses.fields(self):
            value, meta = getattr(self, each.name), each.metadata
            if meta["choices"] and value not in meta["choices"]:
                raise InvalidInputError(f"{each.name}: expected one of {', '.join(meta['choices'])}, got {value!r}")
            if isinstance(value, float) and not math.isfinite(value):
                raise InvalidInputError(f"{each.name}: expected a finite number, got {value!r}")
            if meta["low"] is not None and not value >= meta["low"]:
                raise InvalidInputError(f"{each.name}: expected at least {meta['low']}, got {value!r}")
            if meta["low"] is not None and value > meta["high"]:
                raise InvalidInputError(f"{each.name}: expected at most {meta['high']}, got {value!r}")
        if 0 < self.rate_limit < 0.001:
            raise InvalidInputError(f"rate_limit: expected 0 or at least 0.001, got {self.rate_limit!r}")
        for alias in self.aliases:
            if not all(alias.partition("=")):
                raise InvalidInputError(f"aliases: expected NAME=MODEL or NAME=MODEL@VERSION, got {alias!r}")
        if self.otlp_endpoint and not self.otlp_endpoint.startswith(("http://", "https://")):
            raise InvalidInputError(f"otlp_endpoint: expected http://... or https://..., got {self.otlp_endpoint!r}")
        if self.log_requests and self.log_format != "json":
            raise InvalidInputError(f"log_requests: expected log_format json with it, got {self.log_format}")
        if bool(self.tls_certificate) != bool(self.tls_key):
            raise InvalidInputError("expected tls_certificate and tls_key together, got one of them")
        if self.tls_client_ca and not self.tls_certificate:
            raise InvalidInputError("expected tls_certificate with tls_client_ca, got none")

    def shown(self) -> dict[str, Any]:
        """Every setting, with secrets masked."""
        return {
            each.name: SECRET if each.metadata["secret"] and getattr(self, each.name) else getattr(self, each.name)
            for each in dataclasses.fields(self)
        }

    def __repr__(self) -> str:
        return f"Settings({', '.join(f'{name}={value!r}' for name, value in self.shown().items())})"


def from_layers(
    said: Mapping[str, Any], environ: Mapping[str, str], config: str | os.PathLike[str] | None = None
) -> Settings:
    """The settings of the command line `said` (field -> value, only what was said), `environ` and a TOML file.

    Raises InvalidInputError (E006) for a value or a key that is not one of ours, FileAccessError (E010) for the file.
    """
    values: dict[str, Any] = {}
    config = config or environ.get(f"{ENVIRONMENT_PREFIX}CONFIG")
    if config:
        values |= _from_toml(config)
    for each in dataclasses.fields(Settings):
        variable = ENVIRONMENT_PREFIX + each.name.upper()
        if variable in environ:
            values[each.name] = _parse(each, environ[variable], variable)
    return Settings(**(values | dict(said)))


def _from_toml(path: str | os.PathLike[str]) -> dict[str, Any]:
    try:
        with open(path, "rb") as file:
            document = tomllib.load(file)
    except OSError as error:
        raise FileAccessError(f"{os.fspath(path)}: expected a file to read, got: {error.strerror or error}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidInputError(f"{os.fspath(path)}: expected TOML, got: {error}") from error
    fields = {each.name: each for each in dataclasses.fields(Settings)}
    unknown = sorted(set(document) - set(fields))
    if unknown:
        raise InvalidInputError(f"{os.fspath(path)}: expected settings, got {', '.join(unknown)}")
    return {name: _of_type(fields[name], value, f"{os.fspath(path)}: {name}") for name, value in document.items()}


def _of_type(each: dataclasses.Field[Any], value: Any, where: str) -> Any:
    """A value of TOML as the field has it: 1 is 1.0 where seconds are meant, a list is a tuple."""
    kind = type(each.default)
    if kind is float and type(value) is int:
        return float(value)
    if kind is tuple and isinstance(value, list) and all(isinstance(item, str) for item in value):
        return tuple(value)
    if type(value) is not kind:
        raise InvalidInputError(f"{where}: expected {_WORDS[kind]}, got {value!r}")
    return value


_WORDS: Mapping[type, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
    tuple: "a list of texts",
}
_BOOLEANS = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}
_PARSERS: Mapping[type, Callable[[str], Any]] = {
    bool: lambda text: _BOOLEANS[text.lower()],
    int: int,
    float: float,
    str: str,
    tuple: lambda text: tuple(part.strip() for part in text.split(",") if part.strip()),
}


def _parse(each: dataclasses.Field[Any], text: str, where: str) -> Any:
    kind = type(each.default)
    try:
        return _PARSERS[kind](text)
    except (ValueError, KeyError):
        shown = SECRET if each.metadata["secret"] else repr(text)
        raise InvalidInputError(f"{where}: expected {_WORDS[kind]}, got {shown}") from None
