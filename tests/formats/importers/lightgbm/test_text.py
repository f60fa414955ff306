"""The parser: what LightGBM writes is read to the last bit, and what it would not write is refused with a reason."""

from __future__ import annotations

import random
import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import inferir
from inferir.errors import FileAccessError, FormatError, ModelLoadError, UnsupportedModelError
from inferir.formats.importers.lightgbm.booster import text_file
from inferir.formats.importers.lightgbm.text import parse
from tests.formats.importers.lightgbm.agreement import trained, training_rows


def _model(**parameters: Any) -> str:
    rows = training_rows(nan=0.0)
    rows[:, 3] = np.random.default_rng(0).integers(0, 40, len(rows))
    label, dataset = rows[:, 4] + 9 * np.sin(rows[:, 3]), {"categorical_feature": [3]}
    booster = trained(rows, label, 4, dataset=dataset, objective="regression", min_data_per_group=2, **parameters)
    return str(booster.model_to_string())


TEXT, LINEAR = _model(), _model(linear_tree=True)


def test_read() -> None:
    model = parse(TEXT.encode())
    assert (model.version, len(model.trees), model.trees_per_iteration) == ("v4", 4, 1)
    assert (model.objective, model.average_output) == (["regression"], False)
    assert model.feature_names == [f"Column_{i}" for i in range(5)]
    assert model.parameters["num_leaves"] == "9"
    assert model.pandas_categorical == []
    tree = model.trees[0]
    assert len(tree.threshold) == len(tree.leaf_value) - 1 == 8
    written = re.search(r"^leaf_value=(.*)$", TEXT, re.MULTILINE)
    assert written is not None
    assert tree.leaf_value.tolist() == [float(word) for word in written[1].split()]
    assert any(tree.sets for tree in model.trees)
    assert all(tree.linear for tree in parse(LINEAR.encode()).trees[1:])


def edit(pattern: str, replacement: str, text: str = TEXT) -> str:
    """The text with the first match of `pattern` replaced; fails where there is none."""
    edited, count = re.subn(pattern, replacement.replace("\\", r"\\"), text, count=1, flags=re.MULTILINE)
    assert count == 1, pattern
    return edited


HOSTILE = {
    "": "first line to be 'tree'",
    "tree\n": "at least one tree",
    TEXT[: len(TEXT) // 3]: "cut short",
    edit("^version=v4$", "version=v9"): "v9; supported: v3, v4",
    edit("^version=v4\n", ""): "expected 'version' in the header",
    edit("^num_class=1", "num_class=1\nnum_class=1"): "'num_class' twice",
    edit("^label_index", "label_indx"): "'label_indx', which is unknown",
    edit("^max_feature_idx=4", "max_feature_idx=5"): "expected 6 feature_names",
    edit("^max_feature_idx=4", "max_feature_idx=99999999999"): "max_feature_idx of the header from 0",
    edit("^max_feature_idx=4", "max_feature_idx=-1"): "max_feature_idx of the header from 0",
    edit("^max_feature_idx=4", "max_feature_idx=4_0"): "expected numbers in max_feature_idx",
    edit("^num_tree_per_iteration=1", "num_tree_per_iteration=3"): "multiple of num_tree_per_iteration=3",
    edit("^num_tree_per_iteration=1", "num_tree_per_iteration=0"): "from 1 to 4",
    edit("^Tree=1$", "Tree=7"): "expected 'Tree=1', got 'Tree=7'",
    edit("^num_leaves=9", "num_leaves=10"): "expected 9 numbers in split_feature of tree 0, got 8",
    edit("^num_leaves=9", "num_leaves=0"): "num_leaves of tree 0 from 1",
    edit("^num_leaves=9", "num_leaves=9999999999999999999"): "expected numbers in num_leaves",
    edit("^leaf_value=", "leaf_value=x "): "expected numbers in leaf_value of tree 0, got 'x",
    edit("^leaf_value=", "leaf_value=1 "): "expected 9 numbers in leaf_value of tree 0, got 10",
    edit("^leaf_value=.*$", ""): "expected 'leaf_value' in tree 0",
    edit("^split_gain=", "surprise="): "tree 0 has 'surprise', which is unknown",
    edit("^split_feature=[0-9]", "split_feature=5"): "split_feature of tree 0 within [0, 5)",
    edit("^split_feature=[0-9]", "split_feature=-1"): "split_feature of tree 0 within [0, 5)",
    edit("^decision_type=[0-9]+", "decision_type=12"): "decision_type of tree 0 within [0, 12)",
    edit("^left_child=[-0-9]+", "left_child=0"): "left_child and right_child of tree 0 to make one tree",
    edit("^left_child=[-0-9]+", "left_child=-1"): "left_child and right_child of tree 0 to make one tree",
    edit("^right_child=[-0-9]+", "right_child=99"): "left_child and right_child of tree 0 to make one tree",
    edit("^threshold=[^ ]+", "threshold=nan"): "thresholds of tree 0 to be numbers",
    edit("^num_cat=[1-9][0-9]*", "num_cat=0"): "those of categorical nodes to be sets",
    edit("^cat_boundaries=0", "cat_boundaries=1"): "cat_boundaries of tree [0-3] to rise from 0",
    edit("^cat_threshold=[0-9]+", "cat_threshold=4294967296"): "cat_threshold of tree [0-3] within [0, 4294967296)",
    edit("^is_linear=0", "is_linear=1"): "expected 'leaf_const' in tree 0",
    edit("^is_linear=0", "is_linear=2"): "is_linear of tree 0 from 0 to 1",
    edit("^num_features=[0-9]+", "num_features=99", LINEAR): "num_features of tree [0-3] to count",
    edit("^leaf_features=[0-9]+", "leaf_features=5", LINEAR): "leaf_features of tree [0-3] within [0, 5)",
    edit("^objective=regression", "objective=sorcery"): "objective 'sorcery'",
    edit("^objective=regression", "objective=binary sigmoid:x"): "sigmoid:k with a number k, got 'x'",
    edit("^pandas_categorical:.*", "pandas_categorical:[["): "expected JSON behind 'pandas_categorical:'",
    edit("^pandas_categorical:.*", "pandas_categorical:" + "[" * 9999): "expected JSON behind 'pandas_categorical:'",
    edit("^pandas_categorical:.*", 'pandas_categorical:{"a": 1}'): "a list of lists",
    edit("^pandas_categorical:.*", 'pandas_categorical:[["a", "b"]]'): "1 pandas category columns and 1 categorical",
}


@pytest.mark.parametrize(("text", "message"), HOSTILE.items(), ids=range(len(HOSTILE)))
def test_hostile(text: str, message: str) -> None:
    pattern = re.escape(message).replace(re.escape("[0-3]"), "[0-3]")
    with pytest.raises((ModelLoadError, UnsupportedModelError), match=pattern):
        text_file(text.encode())


def test_not_utf8() -> None:
    with pytest.raises(ModelLoadError, match="expected UTF-8, got byte 0xff"):
        parse(TEXT.encode().replace(b"Column_0", b"Column\xff0"))


@settings(max_examples=150)
@given(st.randoms(use_true_random=False), st.sampled_from([TEXT, LINEAR]))
def test_damaged_text_is_refused_or_runs(rng: random.Random, text: str) -> None:
    """Words and lines replaced, dropped and doubled: a FormatError, or a model that answers."""
    lines = text.split("\n")
    for _ in range(rng.choice((1, 1, 2, 5))):
        i = rng.randrange(len(lines))
        words = re.split(r"([ =])", lines[i])
        words[rng.randrange(len(words))] = rng.choice(
            ("", "-1", "0", "1", "2", "7", "nan", "1e999", "99999999999", "x", "-3")
        )
        lines[i] = rng.choice(("".join(words), "".join(words), lines[i] + "\n" + lines[i], ""))
    try:
        builder, answers, framework = text_file("\n".join(lines).encode())
        model = inferir.Model(builder.spec(answers, name="m", version="", framework=framework))
    except FormatError:
        return
    rows = np.random.default_rng(0).normal(size=(9, len(model.columns)))
    assert len(model.predict(rows)) == 9


# -- files of other kinds


def test_files_of_other_kinds(tmp_path: Any) -> None:
    path = tmp_path / "model"
    for data, match in [
        (b"", r"is not a file that can be imported \(LightGBM text, "),
        (b"trees\n", "is not a file that can be imported"),
        (b"\x80\x05\x95", "a pickle: loading one runs code"),
    ]:
        path.write_bytes(data)
        with pytest.raises(UnsupportedModelError, match=match):
            inferir.convert(path)
    with pytest.raises(FileAccessError, match="missing"):
        inferir.convert(tmp_path / "missing.txt")
    with pytest.raises(FileAccessError, match="cannot read"):
        inferir.convert(tmp_path)
