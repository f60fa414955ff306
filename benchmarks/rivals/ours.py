"""inferir, with its compiled kernels (`aot`) or those of Numba (`jit`)."""

from __future__ import annotations

import inferir
from benchmarks.rivals.cases import Call, Case, Peer
from inferir.kernels import available

__all__ = ["peers"]


def _peer(backend: str) -> Peer:
    def prepare(case: Case) -> Call:
        model = inferir.convert(case.fitted, backend=backend, threads=1)
        call: Call = getattr(model, case.ask)
        return call

    return prepare


def peers() -> dict[str, Peer]:
    return {f"inferir {backend}": _peer(backend) for backend in available() if backend != "reference"}
