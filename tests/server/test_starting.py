"""What a start takes: an address, TLS, a log."""

from __future__ import annotations

import asyncio
import json
import ssl
import subprocess
import sys
from pathlib import Path

import aiohttp
import pytest

from inferir.errors import FileAccessError, InvalidInputError
from inferir.server.settings import Settings
from inferir.server.starting import open_socket, tls_context
from tests.patience import PATIENCE_S
from tests.server.certificates import certificate
from tests.server.serving import linear_model, serving


def test_a_port_that_is_taken() -> None:
    taken = open_socket(Settings(port=0))
    taken.listen()
    with pytest.raises(InvalidInputError, match="expected an address to listen on"):
        open_socket(Settings(port=taken.getsockname()[1]))
    taken.close()


def test_mutual_tls(tmp_path: Path) -> None:
    authority = certificate(tmp_path, "ca")
    for name in ("server", "client"):
        certificate(tmp_path, name, authority)
    certificate(tmp_path, "stranger")
    path = linear_model(tmp_path / "m.apr")
    settings = {
        "tls_certificate": str(tmp_path / "server.pem"),
        "tls_key": str(tmp_path / "server.key"),
        "tls_client_ca": str(tmp_path / "ca.pem"),
    }

    async def main() -> None:
        async with serving(path, **settings) as (_, url), aiohttp.ClientSession(url) as client:

            async def ask(who: str | None) -> int:
                context = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))
                if who:
                    context.load_cert_chain(tmp_path / f"{who}.pem", tmp_path / f"{who}.key")
                async with client.post("/predict", json={"features": [1, 2]}, ssl=context) as response:
                    return response.status

            assert await ask("client") == 200
            for who in ("stranger", None):
                with pytest.raises((aiohttp.ClientError, ssl.SSLError)):
                    await ask(who)

    asyncio.run(main())


def test_a_certificate_that_is_none(tmp_path: Path) -> None:
    certificate(tmp_path, "a")
    certificate(tmp_path, "b")
    mixed = Settings(tls_certificate=str(tmp_path / "a.pem"), tls_key=str(tmp_path / "b.key"))
    with pytest.raises(InvalidInputError, match="expected a certificate and its key"):
        tls_context(mixed)
    with pytest.raises(FileAccessError):
        tls_context(Settings(tls_certificate="missing.pem", tls_key="missing.key"))


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_other_libraries_write_to_the_same_log(log_format: str, tmp_path: Path) -> None:
    code = (
        "import logging; from inferir.server.starting import configure_logging;"
        "from inferir.server.settings import Settings;"
        f"configure_logging(Settings(log_format={log_format!r}));"
        "logging.getLogger('asyncio').error('a task\\nbroke'); logging.getLogger('asyncio').info('hush');"
        "logging.getLogger('inferir.server').info('ours')"
    )
    said = subprocess.run(
        [sys.executable, "-c", code], stderr=subprocess.PIPE, check=True, timeout=PATIENCE_S
    ).stderr.decode()
    assert said.index("broke") < said.index("ours")
    assert "hush" not in said
    if log_format == "json":
        theirs, ours = map(json.loads, said.splitlines())
        assert (theirs["logger"], theirs["message"], ours["message"]) == ("asyncio", "a task\nbroke", "ours")
