"""What a server says of a file that it does not load."""

from __future__ import annotations

from pathlib import Path

import pytest

from inferir.errors import SignatureError
from inferir.formats import apr
from inferir.server.models import snapshots
from inferir.server.models.loading import load_version
from inferir.server.settings import Settings
from tests.server.serving import linear_spec


def test_a_signature_that_nobody_checks_is_refused_by_the_names_that_a_server_has(tmp_path: Path) -> None:
    path = tmp_path / "signed.apr"
    path.write_bytes(apr.to_bytes(linear_spec(), private_key=bytes(range(32))))
    with pytest.raises(
        SignatureError, match=r"expected --trusted-keys \(INFERIR_TRUSTED_KEYS\), as the file is signed"
    ):
        load_version(snapshots.take(str(path)), Settings())
