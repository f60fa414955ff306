"""tests/data/hostile: every file ends in the error it is named after, and is what its script makes."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest

from inferir.errors import FormatError
from inferir.formats.apr import read
from inferir.formats.apr.inspect import describe

DIRECTORY = Path(__file__).parents[2] / "data" / "hostile"
MAKE = runpy.run_path(str(DIRECTORY / "make.py"))
CASES = MAKE["CASES"]


@pytest.mark.parametrize("name", CASES)
def test_refused_with_its_own_error(name: str) -> None:
    code, says, _, trusted_keys = CASES[name]
    with pytest.raises(FormatError) as caught:
        read(DIRECTORY / f"{name}.apr", trusted_keys=trusted_keys)
    assert caught.value.code == code
    assert says in caught.value.message


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.code != "E007"])
def test_describe_refuses_it_too(name: str) -> None:
    with pytest.raises(FormatError) as caught:
        describe(DIRECTORY / f"{name}.apr")
    assert caught.value.code == CASES[name].code
    assert CASES[name].says in caught.value.message


def test_the_file_they_were_made_from_is_good() -> None:
    """Otherwise a case could be refused for another reason than its name says."""
    assert list(read(MAKE["GOOD"]).tensors) == ["s", "w"]
    read(MAKE["signed"](), trusted_keys=[MAKE["SIGNER_PUBLIC"]])


def test_tree_is_what_the_script_makes() -> None:
    made: dict[str, Any] = MAKE["files"]()
    assert {path.name: path.read_bytes() for path in DIRECTORY.glob("*.apr")} == made


def test_depth_16_is_well_formed() -> None:
    """One level less than the hostile file: refused for its fields, not for its depth."""
    with pytest.raises(FormatError, match="expected the key 'name'"):
        read(MAKE["assemble"](MAKE["deep"](16)))
