"""Files that older versions wrote, against the answers that those versions gave (tests/data/models/xgboost/make.py)."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import inferir
from inferir.errors import FileAccessError, UnsupportedModelError
from tests.parity import assert_bits, assert_ulp32
from tests.patience import PATIENCE_S

FOLDER = Path(__file__).parents[3] / "data" / "models" / "xgboost"
FILES = sorted(path for path in FOLDER.glob("*/*") if path.suffix in (".json", ".ubj"))

COLOURS = np.array(["red", "green", "blue"])


def rows_of(name: str, answers: Any) -> Any:
    if name != "frame":
        return answers["rows"]
    rows = answers["frame.rows"]
    frame = pd.DataFrame(rows[:, :3], columns=list("abc"))
    frame["d"] = COLOURS[rows[:, 3].astype(int)]
    return frame


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_answers_of_the_version_that_wrote_it(path: Path) -> None:
    ours = inferir.convert(path)
    assert ours.spec.framework["version"] == path.parent.name
    with np.load(path.parent / "answers.npz") as answers:
        rows = rows_of(path.stem, answers)
        assert_bits(ours.raw(rows), answers[f"{path.stem}.margin"])
        prediction = answers[f"{path.stem}.prediction"]
        if ours.task == "classification":
            np.testing.assert_array_equal(ours.predict(rows), prediction)
        else:
            assert_ulp32(ours.predict(rows), prediction)
        if f"{path.stem}.probabilities" in answers:
            assert_ulp32(ours.predict_proba(rows), answers[f"{path.stem}.probabilities"])


def test_there_are_files_of_every_version() -> None:
    assert {path.parent.name for path in FILES} == {"1.6.2", "2.0.3", "3.1.3"}
    assert {path.suffix for path in FILES} == {".json", ".ubj"}


def test_the_kind_is_told_by_content(tmp_path: Path) -> None:
    for path in (FOLDER / "2.0.3" / "binary.ubj", FOLDER / "2.0.3" / "poisson.json"):
        (tmp_path / "model.bin").write_bytes(path.read_bytes())
        assert inferir.convert(tmp_path / "model.bin").spec.operators == inferir.convert(path).spec.operators
    (tmp_path / "spaced.txt").write_bytes(b'\n {\n  "version" :' + b"[2, 0, 3], " + _members("poisson"))
    assert inferir.convert(tmp_path / "spaced.txt").name == "spaced"


def _members(name: str) -> bytes:
    return (FOLDER / "2.0.3" / f"{name}.json").read_bytes().partition(b"{")[2].replace(b',"version":[2,0,3]}', b"}")


def test_the_old_binary_format_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "model.bin").write_bytes(b"binf\x00\x00\x00?\x04\x00\x00\x00")
    with pytest.raises(UnsupportedModelError, match=r"XGBoost's old binary: .*save_model\(\"model.json\"\)"):
        inferir.convert(tmp_path / "model.bin")


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(FileAccessError):
        inferir.convert(tmp_path / "no.json")


def test_a_file_needs_no_xgboost() -> None:
    unwanted = "{'xgboost', 'sklearn', 'pandas'} & set(sys.modules)"
    code = f"import sys, inferir; inferir.convert(sys.argv[1]); assert not {unwanted}, {unwanted}"
    subprocess.run([sys.executable, "-c", code, FILES[0]], check=True, timeout=PATIENCE_S)
