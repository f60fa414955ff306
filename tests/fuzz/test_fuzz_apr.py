"""A short slice of fuzz_apr.py, and that it reaches every check of the reader."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

FUZZ = runpy.run_path(str(Path(__file__).parent / "fuzz_apr.py"))


def test_law_holds_and_every_check_is_reached() -> None:
    outcomes = FUZZ["run"](6000, 1)
    assert sum(outcomes.values()) == 6000
    assert outcomes["accepted"] > 200
    for check in [
        *("E001 expected an .apr file", "truncated", "after its end", "E004 expected format version"),
        *("E004 expected a model type", "E004 expected a plain file", "no flag but SIGNED", "reserved bytes"),
        *("bytes of metadata", "E002", "E007", "the shortest form", "expected UTF-8", "each key once", "lead byte"),
        *("a string as map key", "16 levels", "values of this map", "values of this array", "bytes of string"),
        *("expected the key", "expected an integer", "expected a string", "expected a map", "expected an array"),
        *("expected one of", "each of them once", "of an earlier operator", "a name of its own", "of a tensor of this"),
        *(
            "metadata.tensors[0].nbytes",
            "divisible by 64",
            "within the payload",
            "they overlap",
            "expected zeros",
            "a payload of",
        ),
    ]:
        assert any(check in text for text in outcomes), check


def test_what_breaks_the_law_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RecursionError

    monkeypatch.setitem(FUZZ["outcome"].__globals__, "read", broken)
    with pytest.raises(AssertionError, match=r"input 0 of seed 3 broke the law: [0-9a-f]+"):
        FUZZ["run"](1, 3)
