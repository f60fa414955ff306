"""`inferir keygen`, `inferir sign`, `inferir verify`."""

from __future__ import annotations

import json
import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

import inferir
from inferir.formats.apr import keys, write
from tests.cli.conftest import Case
from tests.operators.test_prepared import field_of, symmetric_spec, with_field

Run = Callable[..., Result]


def test_keygen_makes_two_files_and_never_overwrites(tmp_path: Path, run: Run) -> None:
    result = run("keygen", tmp_path / "release.pem")
    assert result.exit_code == 0, result.stderr
    public = tmp_path / "release.pub.pem"
    assert keys.key_id(public).hex() in result.stdout
    assert stat.S_IMODE(os.stat(tmp_path / "release.pem").st_mode) == 0o600
    before = public.read_bytes()
    assert run("keygen", tmp_path / "release.pem").exit_code == 20
    assert public.read_bytes() == before


def test_keygen_takes_both_names(tmp_path: Path, run: Run) -> None:
    assert run("keygen", tmp_path / "a", tmp_path / "b").exit_code == 0
    assert {path.name for path in tmp_path.iterdir()} == {"a", "b"}


def test_sign_and_verify(forest: Case, tmp_path: Path, run: Run) -> None:
    model, private, public = tmp_path / "m.apr", tmp_path / "k.pem", tmp_path / "k.pub.pem"
    shutil.copy(forest.apr, model)
    run("keygen", private)
    assert run("verify", model).stdout == f"{model}: whole, not signed\n"
    assert run("sign", model, "--key", private).exit_code == 0
    signer = keys.key_id(public).hex()
    assert run("verify", model, "--trusted-key", public).stdout == f"{model}: whole, signed by {signer}\n"
    found = json.loads(run("verify", model, "--trusted-key", public, "--json").stdout)
    assert found == {"file": str(model), "whole": True, "signed_by": signer}
    assert run("sign", model, "--key", private).exit_code == 17


@pytest.mark.parametrize(
    ("damage", "exit_code"),
    [
        (lambda data: data[:-1], 11),
        (lambda data: data[:40] + bytes([data[40] ^ 1]) + data[41:], 12),
        (lambda data: data[:4] + b"\x09\0" + data[6:], 14),
    ],
)
def test_verify_says_what_is_wrong_by_its_exit_code(
    damage: Callable[[bytes], bytes], exit_code: int, forest: Case, tmp_path: Path, run: Run
) -> None:
    model = tmp_path / "m.apr"
    model.write_bytes(damage(Path(forest.apr).read_bytes()))
    assert run("verify", model).exit_code == exit_code


def test_verify_with_the_key_of_somebody_else(forest: Case, tmp_path: Path, run: Run) -> None:
    signed = tmp_path / "signed.apr"
    run("keygen", tmp_path / "a.pem")
    run("keygen", tmp_path / "b.pem")
    run("sign", forest.apr, "--key", tmp_path / "a.pem", "-o", signed)
    assert run("verify", signed, "--trusted-key", tmp_path / "b.pub.pem").exit_code == 17
    both = ("--trusted-key", tmp_path / "b.pub.pem", "--trusted-key", tmp_path / "a.pub.pem")
    assert run("verify", signed, *both).exit_code == 0
    unsigned = run("verify", forest.apr, *both)
    assert unsigned.exit_code == 17
    assert "expected a signed file, as --trusted-key were given" in unsigned.stderr
    for command in (("verify", signed), ("predict", signed, forest.csv), ("bench", signed)):
        refused = run(*command)
        assert refused.exit_code == 17
        assert "[E007] expected --trusted-key, as the file is signed, got none" in refused.stderr


def test_verify_makes_the_tables_again(tmp_path: Path, run: Run) -> None:
    """Tables that do no harm and say something else than the nodes: only the writer of a file can have made them."""
    spec, path = symmetric_spec(), tmp_path / "m.apr"
    write(spec, path)
    assert run("verify", path).exit_code == 0
    name, level = field_of(spec, "level")
    write(with_field(spec, name, level ^ 1), path)
    assert inferir.load(path).columns
    result = run("verify", path)
    assert result.exit_code == 11
    assert f"[E001] expected tables as the model's nodes make them, got others: {name}" in result.stderr
