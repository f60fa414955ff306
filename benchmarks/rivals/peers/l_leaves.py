"""lleaves: LightGBM models compiled with LLVM, as its documentation has it; compiled once and kept."""

from __future__ import annotations

from functools import partial

import lleaves

from benchmarks.rivals.subject import Prepared, Subject

__all__ = ["prepare"]


#: LLVM had not finished a model of 14 MB, 500 trees of 255 leaves, after half an hour on a busy machine.
_MOST_BYTES = 10_000_000


def prepare(subject: Subject) -> Prepared | None:
    if subject.native.stat().st_size > _MOST_BYTES:
        return None
    model = lleaves.Model(model_file=str(subject.native))
    model.compile(cache=str(subject.folder / "lleaves.o"))
    return Prepared(partial(model.predict, n_jobs=subject.threads))
