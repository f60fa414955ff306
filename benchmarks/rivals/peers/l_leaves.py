"""lleaves: LightGBM models compiled with LLVM, as its documentation has it; compiled once and kept."""

from __future__ import annotations

from functools import partial

import lleaves

from benchmarks.rivals.subject import Prepared, Subject

__all__ = ["prepare"]


def prepare(subject: Subject) -> Prepared:
    model = lleaves.Model(model_file=str(subject.native))
    model.compile(cache=str(subject.folder / "lleaves.o"))
    return Prepared(partial(model.predict, n_jobs=subject.threads))
