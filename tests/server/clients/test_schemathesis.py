"""Schemathesis makes requests from our OpenAPI document, right and wrong: no 500, and only documented answers."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from hypothesis import settings

from tests.patience import PATIENCE_S
from tests.server.clients.conftest import Served

#: Unloading would take the models away from the other tests.
LEFT_OUT = "unload"

CHECKS = ("not_a_server_error", "status_code_conformance", "content_type_conformance", "response_schema_conformance")

EXAMPLES = 15


@pytest.mark.skipif(not importlib.util.find_spec("schemathesis"), reason="needs schemathesis: inferir[clients]")
def test_every_answer_is_documented(served: Served, tmp_path: Path) -> None:
    with urllib.request.urlopen(f"{served.url}/openapi.json") as answer:
        document = json.load(answer)
    for path in document["paths"].values():
        for operation in path.values():
            for parameter in operation.get("parameters", ()):
                # Names that are there, so that requests come as far as the models.
                known = {"name": list(served.models), "version": ["1"]}.get(parameter["name"])
                if known is not None:
                    parameter["schema"]["enum"] = known
    schema = tmp_path / "openapi.json"
    schema.write_text(json.dumps(document))
    command = [sys.executable, "-m", "schemathesis.cli", "run", str(schema), "--url", served.url]
    command += ["--exclude-path-regex", LEFT_OUT, "--checks", ",".join(CHECKS), "--max-examples", str(EXAMPLES)]
    command += ["--phases", "coverage,fuzzing"]
    command += ["--request-timeout", str(PATIENCE_S), "--suppress-health-check", "too_slow"]
    # The gate tries the same examples every time (tests/conftest.py).
    command += ["--generation-deterministic"] if settings().derandomize else ["--generation-database", "none"]
    ran = subprocess.run(command, capture_output=True, timeout=10 * PATIENCE_S, check=False, cwd=tmp_path)
    said = ran.stdout.decode() + ran.stderr.decode()
    assert ran.returncode == 0, said
    tried = sum(len(path) for name, path in document["paths"].items() if LEFT_OUT not in name)
    assert f"{tried} passed" in said, said
    with urllib.request.urlopen(f"{served.url}/ready") as answer:
        assert answer.status == 200
