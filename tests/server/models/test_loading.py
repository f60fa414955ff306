"""What a server says of a file that it does not load."""

from __future__ import annotations

from pathlib import Path

import pytest

from inferir.errors import FileAccessError, SignatureError
from inferir.formats import apr
from inferir.server.models import snapshots
from inferir.server.models.loading import load_version
from inferir.server.settings import Settings
from tests.server.serving import linear_model, linear_spec


def test_a_signature_that_nobody_checks_is_refused_by_the_names_that_a_server_has(tmp_path: Path) -> None:
    path = tmp_path / "signed.apr"
    path.write_bytes(apr.to_bytes(linear_spec(), private_key=bytes(range(32))))
    with pytest.raises(
        SignatureError, match=r"expected --trusted-keys \(INFERIR_TRUSTED_KEYS\), as the file is signed"
    ):
        load_version(snapshots.take(str(path)), Settings())


def test_a_copy_that_cannot_be_mapped_is_a_file_that_does_not_load(tmp_path: Path) -> None:
    path = linear_model(tmp_path / "m.apr")
    snapshot = snapshots.take(path)
    snapshot.close()
    with pytest.raises(FileAccessError, match=f"{path}: expected to map its copy, got: No such file"):
        load_version(snapshot, Settings(backend="reference"))


def test_what_identifies_a_file(tmp_path: Path) -> None:
    path = linear_model(tmp_path / "m.apr")
    content = Path(path).read_bytes()
    snapshot = snapshots.take(path)
    version = load_version(snapshot, Settings(backend="reference"))
    snapshot.close()
    assert version.digest == f"{content[:-5:-1].hex()}-{len(content):x}"
