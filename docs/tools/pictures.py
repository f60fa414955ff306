"""The pictures of the documentation, as SVG: boxes, arrows and words on a light card, so that they can be read on any
background. What can be taken from the code is: layers from setup.cfg, arrays from a real forest, sizes from the layout.
"""

from __future__ import annotations

import configparser
from collections.abc import Callable
from pathlib import Path

import numpy as np
from drawing import Drawing

from inferir.formats.apr import layout
from inferir.formats.importers._forest import Forest, Tree

__all__ = ["PICTURES"]

_ROOT = Path(__file__).resolve().parents[2]


def overview() -> str:
    """From a library to answers."""
    d = Drawing(
        760, 236, "A trained model is converted once to one file, which is loaded and answers without the library"
    )
    for i, name in enumerate(("scikit-learn", "XGBoost", "LightGBM", "CatBoost", "ONNX file")):
        d.box(20, 20 + 40 * i, 120, 32, [name], "grey")
        d.line(140, 36 + 40 * i, 162, 36 + 40 * i)
    d.line(162, 36, 162, 196)
    d.arrow((162, 116), (276, 116))
    d.text(219, 106, "convert", anchor="middle", bold=True)
    d.text(219, 135, "once", anchor="middle", soft=True)
    d.box(280, 66, 140, 100, ["model.apr", "numbers and text,", "no code; checked,", "signed if you like"], "amber")
    d.arrow((420, 116), (536, 116))
    d.text(478, 106, "load", anchor="middle", bold=True)
    d.text(478, 135, "anywhere", anchor="middle", soft=True)
    d.box(540, 48, 200, 136, ["Model", "predict", "predict_proba", "raw", "transform"], "green")
    d.text(640, 208, "own kernels, not the library's", anchor="middle", soft=True, size=12)
    d.text(350, 208, "one file", anchor="middle", soft=True, size=12)
    return d.svg()


def row() -> str:
    """The journey of a row through the model of the tutorial."""
    d = Drawing(820, 348, "A row goes through Columns.encode, Plan.run and kernels")
    d.box(20, 26, 150, 66, ["rows", "array, lists, dicts,", "pandas, Arrow"], "white")
    d.arrow((170, 59), (206, 59))
    d.box(210, 26, 180, 66, ["1  Columns.encode", "columns by name, text", "to codes, missing to NaN"], "blue")
    d.arrow((390, 59), (426, 59))
    d.box(430, 26, 160, 66, ["matrix", "float32 or float64,", "one row per row"], "white")
    d.arrow((590, 59), (626, 59))
    d.box(630, 26, 170, 66, ["2  Plan.run", "4096 rows at a time,", "just the steps needed"], "blue")
    d.arrow((715, 92), (715, 114), (44, 114), (44, 156))
    d.text(60, 134, "3  one kernel call a step, with the model's arrays already in place", bold=True)
    y = 160
    for x, w, words in ((20, 70, "select"), (118, 80, "one_hot")):
        d.box(x, y, w, 32, [words], "green", mono=True)
    for x, w, words in ((20, 70, "select"), (118, 80, "impute")):
        d.box(x, y + 56, w, 32, [words], "green", mono=True)
    d.arrow((90, y + 16), (115, y + 16))
    d.arrow((90, y + 72), (115, y + 72))
    d.arrow((198, y + 16), (222, y + 16), (222, y + 40), (234, y + 40))
    d.arrow((198, y + 72), (222, y + 72), (222, y + 48), (234, y + 48))
    steps = ((238, 76, "concat"), (340, 60, "cast"), (426, 72, "forest"), (524, 72, "divide"), (622, 76, "argmax"))
    for (x, w, words), following in zip(steps, (*steps[1:], None), strict=True):
        d.box(x, y + 28, w, 32, [words], "green", mono=True)
        if following:
            d.arrow((x + w, y + 44), (following[0] - 3, y + 44))
    d.arrow((554, y + 60), (554, y + 108))
    d.arrow((678, y + 60), (678, y + 108))
    d.box(492, y + 112, 124, 32, ["probabilities"], "amber", mono=True)
    d.box(626, y + 112, 104, 32, ["prediction"], "amber", mono=True)
    d.text(20, y + 128, "Categories go through the upper branch, numbers through the lower.", soft=True, size=12)
    d.text(20, y + 146, "predict_proba stops before argmax; predict turns positions into labels.", soft=True, size=12)
    d.text(
        20,
        y + 168,
        "The model is that of the tutorial: OneHotEncoder, SimpleImputer, RandomForestClassifier.",
        soft=True,
        size=12,
    )
    return d.svg()


#: Module -> what it is for.
_LAYER_WORDS = {
    "__main__": "python -m inferir",
    "cli": "the command",
    "demo": "two models that come along",
    "agreement": "do two answers agree?",
    "datafiles": "CSV, JSON, Parquet, Arrow",
    "model": "load, convert, Model",
    "explain": "what each column adds to a score",
    "prepare": "tables that a file keeps",
    "plan": "steps in order, chunks, parts",
    "rows": "any table to one matrix",
    "payload": "request bodies to rows, and back",
    "server": "models over HTTP",
    "lambda_entry": "models in AWS Lambda",
    "program": "kernel calls, as data",
    "operators": "words of a file to kernel calls",
    "formats": "files and importers",
    "kernels": "arithmetic on arrays",
    "errors": "everything raised on purpose",
    "labels": "positions to class labels",
    "shares": "which rows a thread takes",
    "threads": "work shared out",
}


def layers() -> str:
    """The layers that import-linter keeps, from setup.cfg."""
    config = configparser.ConfigParser()
    config.read(_ROOT / "setup.cfg", encoding="utf-8")
    rows = [line.split("|") for line in config["importlinter:contract:layers"]["layers"].split("\n") if line.strip()]
    height = 52 * len(rows) + 62
    d = Drawing(640, height, "Layers of the package: each imports only from those below it")
    for i, names in enumerate(rows):
        width = (600 - 12 * (len(names) - 1)) / len(names)
        for k, name in enumerate(name.strip(" ()") for name in names):
            color = {
                "kernels": "green",
                "formats": "amber",
                "errors": "grey",
                "labels": "grey",
                "shares": "grey",
                "threads": "grey",
            }.get(name, "blue")
            d.box(20 + k * (width + 12), 16 + 52 * i, width, 44, [name, _LAYER_WORDS[name]], color)
    d.text(
        320,
        height - 20,
        "A layer imports from layers below it; two in one row do not know each other.",
        anchor="middle",
        soft=True,
    )
    return d.svg()


def forest() -> str:
    """A tree of two questions, and the arrays that it is in memory."""
    kept = Forest("f32", "f64")
    kept.trees.append(
        Tree(
            left=np.array([1, 3, -1, -1, -1]),
            right=np.array([2, 4, -1, -1, -1]),
            split_index=np.array([2, 0, 0, 0, 0]),
            threshold=np.array([0.5, 7.0, 0.0, 0.0, 0.0]),
            flags=np.array([0, 1, 0, 0, 0], np.uint8),
            value=np.array([[0.0], [0.0], [0.9], [-0.3], [0.4]]),
        )
    )
    t = kept.tensors([0.0])
    d = Drawing(760, 300, "A tree of two nodes and three leaves, and the flat arrays that hold it")
    spots = {0: (190, 42), 1: (120, 127), 2: (262, 127), 3: (66, 212), 4: (178, 212)}
    for node, (x, y) in spots.items():
        child = int(t["left_child"][node])
        if child >= 0:
            for k, answer in enumerate(("yes", "no")):
                cx, cy = spots[child + k]
                d.line(x, y + 20, cx, cy - 20)
                d.text(
                    (x + cx) / 2 + (-10 if k == 0 else 10),
                    (y + cy) / 2,
                    answer,
                    soft=True,
                    size=12,
                    anchor="end" if k == 0 else "start",
                )
    for node, (x, y) in spots.items():
        child = int(t["left_child"][node])
        if child >= 0:
            words, color = f"x{t['split_index'][node]} <= {t['threshold'][node]:g} ?", "blue"
        else:
            words, color = f"{t['leaf_value'][~child, 0]:+g}", "amber"
        d.box(x - 48, y - 20, 96, 40, [words, f"node {node}"], color)
    left, top, cell = 420, 44, 54
    d.text(left - 12, top - 6, "node", anchor="end", soft=True)
    for node in range(5):
        d.text(left + cell * node + cell / 2, top - 6, str(node), anchor="middle", soft=True)
    for line, name in enumerate(("split_index", "threshold", "left_child", "node_flags")):
        y = top + 36 * line
        d.text(left - 12, y + 20, name, anchor="end", mono=True, size=12)
        for node in range(5):
            value = t[name][node]
            inner = int(t["left_child"][node]) >= 0
            words = f"~{~int(value)}" if name == "left_child" and not inner else f"{value:g}"
            if not inner and name != "left_child":
                words = ""
            d.box(
                left + cell * node,
                y,
                cell,
                30,
                [words],
                "white" if inner or name == "left_child" else "grey",
                mono=True,
            )
    y = top + 36 * 4 + 30
    d.text(left - 12, y + 20, "leaf_value", anchor="end", mono=True, size=12)
    for leaf in range(len(t["leaf_value"])):
        d.text(left + cell * leaf + cell / 2, y - 6, f"leaf {leaf}", anchor="middle", soft=True, size=11)
        d.box(left + cell * leaf, y, cell, 30, [f"{t['leaf_value'][leaf, 0]:g}"], "amber", mono=True)
    d.text(
        20,
        268,
        "Children are neighbours: left_child[i] and left_child[i] + 1. In a leaf it is ~leaf.",
        soft=True,
        size=12,
    )
    d.text(
        20,
        286,
        "node_flags 1: a missing value goes left. Children come after their parents, so no walk turns in a circle.",
        soft=True,
        size=12,
    )
    return d.svg()


def file() -> str:
    """The bytes of an `.apr` file."""
    d = Drawing(860, 176, "The bytes of an .apr file: header, metadata, payload, signature, CRC-32")
    align = layout.ALIGNMENT_BYTES
    parts = (
        (86, "header", f"{layout.HEADER_NBYTES} bytes", "grey"),
        (166, "metadata", "one MessagePack map", "blue"),
        (104, "tensor", f"{align}-byte aligned", "green"),
        (104, "tensor", f"{align}-byte aligned", "green"),
        (64, "...", "", "green"),
        (152, "signature", f"{layout.SIGNATURE_NBYTES} bytes, if signed", "amber"),
        (86, "CRC-32", f"{layout.CRC_NBYTES} bytes", "grey"),
    )
    x, ends = 22.0, []
    for w, name, words, color in parts:
        d.box(x, 30, w, 56, [name, words] if words else [name], color)
        ends.append((x, x + w))
        x += w + 7
    d.text(22, 20, "first byte", soft=True, size=11)
    d.text(ends[-1][1], 20, "last byte", soft=True, size=11, anchor="end")
    for y, first, last, words in (
        (96, 2, 4, "payload: numbers only, used in place"),
        (124, 0, 4, "what the signature covers"),
        (152, 0, 5, "what the CRC-32 covers"),
    ):
        begin, end = ends[first][0], ends[last][1]
        d.line(begin, y, end, y)
        d.text((begin + end) / 2, y + 16, words, anchor="middle", soft=True, size=12)
    return d.svg()


def chunks() -> str:
    """How a large batch is cut."""
    d = Drawing(760, 216, "A large batch is cut into parts, which threads take in turn")
    for i in range(6):
        d.box(
            20,
            18 + 30 * i,
            130,
            26,
            ["part 1", "part 2", "part 3", "...", "...", "the rest"][i : i + 1],
            "white" if i % 2 else "blue",
        )
        d.arrow((150, 31 + 30 * i), (250, 74 if i % 2 == 0 else 148))
    d.box(254, 44, 150, 60, ["who asks", "all steps, one part"], "green")
    d.box(254, 118, 150, 60, ["a helper", "all steps, one part"], "green")
    d.arrow((404, 74), (486, 98))
    d.arrow((404, 148), (486, 124))
    d.box(490, 78, 246, 66, ["answers", "in the order of the rows,", "the same bits as one by one"], "amber")
    d.text(
        190,
        203,
        "One thread for each core, unless you say otherwise. What takes less than 0.4 ms is not shared.",
        soft=True,
        size=12,
    )
    return d.svg()


#: Name of the file -> what draws it.
PICTURES: dict[str, Callable[[], str]] = {
    "overview": overview,
    "row": row,
    "layers": layers,
    "forest": forest,
    "file": file,
    "chunks": chunks,
}
