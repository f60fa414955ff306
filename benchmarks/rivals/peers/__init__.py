"""Who is compared: a table of names, and one file for each with `prepare(subject) -> Prepared | None`.

None stands for a model that the library has not. Nothing of a library is imported before its `prepare` is asked for,
and that in a process of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

__all__ = ["APART", "OURS", "PEERS", "READING", "WORKERS", "Peer"]


class Peer(NamedTuple):
    """`environment` is a key of `environments.ENVIRONMENTS`; "" is the one that the comparison itself runs in.

    libraries  trained by these, or "*"; asks: what it can be asked.
    """

    module: str
    packages: tuple[str, ...]
    libraries: tuple[str, ...] = ("*",)
    asks: tuple[str, ...] = ("probabilities", "prediction", "transformed")
    environment: str = ""

    def may_have(self, library: str, ask: str) -> bool:
        return ask in self.asks and ("*" in self.libraries or library in self.libraries)


OURS = "inferir"

_ALL = ("probabilities", "prediction", "transformed", "contributions")
_TREES = ("xgboost", "lightgbm", "sklearn")

PEERS: Mapping[str, Peer] = {
    OURS: Peer("ours", ("numpy",), asks=_ALL),
    "scikit-learn": Peer("scikit_learn", ("scikit-learn", "numpy", "scipy"), ("sklearn",)),
    "xgboost": Peer("xg_boost", ("xgboost-cpu",), ("xgboost",), _ALL),
    "lightgbm": Peer("light_gbm", ("lightgbm",), ("lightgbm",), _ALL),
    "catboost": Peer("cat_boost", ("catboost",), ("catboost",), _ALL),
    "onnxruntime": Peer("onnx_runtime", ("onnxruntime", "skl2onnx", "onnxmltools")),
    "treelite": Peer("tree_lite", ("treelite",), _TREES, environment="treelite"),
    "tl2cgen": Peer("tl2_cgen", ("tl2cgen", "treelite"), _TREES, environment="treelite"),
    "lleaves": Peer("l_leaves", ("lleaves", "llvmlite"), ("lightgbm",), environment="lleaves"),
    "daal4py": Peer("daal_4py", ("scikit-learn-intelex", "daal"), asks=_ALL, environment="daal4py"),
    "shap": Peer("shap_package", ("shap",), asks=("contributions",)),
    "faiss": Peer("faiss_index", ("faiss-cpu",), ("sklearn",), ("prediction",)),
}

#: What no answer can be faster than. It takes turns with the peers of dense models.
READING = "reading"

#: As many processes of ours as there are cores, side by side: what threads are compared with.
APART = "apart"

#: All that can have a process.
WORKERS: Mapping[str, Peer] = {**PEERS, READING: Peer("reading", ("numpy",))}
