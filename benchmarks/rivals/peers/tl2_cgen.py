"""tl2cgen: C that it writes for a treelite model, compiled by gcc once and kept. Each call makes a DMatrix, as it must.

`quantize` and branch annotation are left off: they need training rows, and the first made no model here faster.
"""

from __future__ import annotations

import os
from typing import Any

import tl2cgen

from benchmarks.rivals.peers.tree_lite import imported
from benchmarks.rivals.subject import Prepared, Subject

__all__ = ["prepare"]

#: gcc takes a quarter of an hour for the C of larger forests.
_MOST_NODES = 150_000


def _nodes(model: Any) -> int:
    return sum(int(model.get_tree_accessor(i).get_field("num_nodes")[0]) for i in range(model.num_tree))


def prepare(subject: Subject) -> Prepared | None:
    library = subject.folder / "tl2cgen.so"
    if not library.is_file():
        model = imported(subject)
        if model is None or _nodes(model) > _MOST_NODES:
            return None
        making = library.with_suffix(f".{os.getpid()}.so")  # whole, or not there
        tl2cgen.export_lib(model, toolchain="gcc", libpath=making, params={"parallel_comp": 64})
        making.replace(library)
    predictor = tl2cgen.Predictor(library, nthread=subject.threads)
    dtype = subject.facts["dtype"]
    return Prepared(
        lambda rows: predictor.predict(tl2cgen.DMatrix(rows, dtype=dtype)), finish=lambda answer: answer[:, 0]
    )
