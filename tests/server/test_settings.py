"""Settings: what wins, what is refused, what is not shown."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from inferir.errors import FileAccessError, InvalidInputError
from inferir.server.settings import Settings, default_concurrency, from_layers


def test_the_later_layer_wins(tmp_path: Path) -> None:
    config = tmp_path / "serve.toml"
    config.write_text('port = 1\nworkers = 2\ntimeout_s = 3\nmodels = ["a.apr", "b.apr"]\nadaptive = true\n')
    environ = {
        "INFERIR_CONFIG": str(config),
        "INFERIR_PORT": "10",
        "INFERIR_WORKERS": "20",
        "INFERIR_ALIASES": "a=b, c=d",
    }
    settings = from_layers({"port": 100}, environ)
    assert (settings.port, settings.workers, settings.timeout_s) == (100, 20, 3.0)
    assert (settings.models, settings.aliases) == (("a.apr", "b.apr"), ("a=b", "c=d"))
    assert settings.adaptive is True
    assert settings.max_queue == Settings().max_queue


@pytest.mark.parametrize(
    ("environ", "says"),
    [
        ({"INFERIR_PORT": "http"}, "INFERIR_PORT: expected a whole number, got 'http'"),
        ({"INFERIR_ADAPTIVE": "maybe"}, "INFERIR_ADAPTIVE: expected true or false"),
        ({"INFERIR_BATCHING": "sometimes"}, "batching: expected one of auto, on, off"),
        ({"INFERIR_WORKERS": "0"}, "workers: expected at least 1, got 0"),
        ({"INFERIR_PORT": "65536"}, "port: expected at most 65535, got 65536"),
        ({"INFERIR_ALIASES": "best"}, "aliases: expected NAME=MODEL or NAME=MODEL@VERSION, got 'best'"),
        ({"INFERIR_OTLP_ENDPOINT": "collector:4318"}, "otlp_endpoint: expected http"),
        ({"INFERIR_LOG_REQUESTS": "yes"}, "log_requests: expected log_format json with it, got text"),
        ({"INFERIR_TIMEOUT_S": "nan"}, "timeout_s: expected a finite number"),
        ({"INFERIR_BODY_TIMEOUT_S": "inf"}, "body_timeout_s: expected a finite number"),
        ({"INFERIR_TLS_KEY": "k.pem"}, "tls_certificate and tls_key together"),
        ({"INFERIR_TLS_CLIENT_CA": "ca.pem"}, "tls_certificate with tls_client_ca"),
    ],
)
def test_bad_values_are_named(environ: dict[str, str], says: str) -> None:
    with pytest.raises(InvalidInputError, match=says):
        from_layers({}, environ)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("prot = 1", "expected settings, got prot"),
        ('port = "1"', "port: expected a whole number, got '1'"),
        ("port = true", "port: expected a whole number, got True"),
        ("models = [1]", "models: expected a list of texts"),
        ("port = ", "expected TOML"),
    ],
)
def test_bad_files_are_named(tmp_path: Path, text: str, says: str) -> None:
    config = tmp_path / "serve.toml"
    config.write_text(text)
    with pytest.raises(InvalidInputError, match=says):
        from_layers({}, {}, config)
    with pytest.raises(FileAccessError):
        from_layers({}, {}, tmp_path / "missing.toml")


def test_secrets_are_masked() -> None:
    settings = from_layers({}, {"INFERIR_API_KEYS": "hush infer me"})
    assert settings.api_keys == "hush infer me"
    assert "hush" not in repr(settings) + str(settings.shown())


def test_settings_are_frozen_and_documented() -> None:
    settings: Any = Settings()
    with pytest.raises(dataclasses.FrozenInstanceError):
        settings.port = 1
    assert all(each.metadata["help"].endswith(".") for each in dataclasses.fields(Settings))


@pytest.mark.parametrize(
    ("memory_mib", "limit"), [(64, 8), (128, 8), (255, 8), (256, 32), (512, 64), (1023, 64), (1024, 128), (10**6, 128)]
)
def test_concurrency_by_memory(memory_mib: int, limit: int) -> None:
    assert default_concurrency(memory_mib) == limit
