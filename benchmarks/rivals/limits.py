"""python -m benchmarks.rivals.limits [RECORD]: what one core of this machine can do, for the roofline.

flops_per_s  the fastest product of two float32 matrices of 1024 x 1024 (NumPy's BLAS)
bytes_per_s  the fastest reading of 256 MB, by BLAS's dot product
nodes        inner nodes of the trees of a case, all trees together

Seconds are of the CPU, so that others do not count.

So many nodes a second can be evaluated too: a vector instruction is two operations on each float32, and a node two such
instructions, a compare and a select, for each four times as many rows.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks.common import fastest
from benchmarks.rivals.cases import CASES
from benchmarks.rivals.record import RECORD, Record
from benchmarks.rivals.subject import Subject
from inferir.formats import apr

__all__ = ["inner_nodes", "measure"]


def inner_nodes(path: Path) -> int:
    """Of all trees in an `.apr` file; a symmetric tree of depth 6 has six, each for a whole level."""
    tensors = {name.partition(".")[2]: tensor.shape[0] for name, tensor in apr.read(path).tensors.items()}
    leaves = 0 if "leaf_begin" in tensors else tensors["leaf_value"]
    return int(tensors["split_index"] - leaves)


def measure() -> dict[str, Any]:
    """With NumPy, on one thread."""
    n = 1024
    a, b, c = (np.full((n, n), 1.5, np.float32) for _ in range(3))
    long = np.full(1 << 26, 1.5, np.float32)
    with threadpool_limits(1):
        product = fastest(lambda: np.matmul(a, b, out=c), clock=time.process_time)
        reading = fastest(lambda: np.dot(long, long), clock=time.process_time)
    return {"flops_per_s": 2 * n**3 / product, "bytes_per_s": long.nbytes / reading}


def main() -> None:
    record = Record(Path(sys.argv[1]) if len(sys.argv) > 1 else RECORD)
    nodes = {}
    for key, case in CASES.items():
        path = Subject(key, 1).apr
        if case.is_tree and case.ask != "contributions" and path.is_file():
            nodes[key] = inner_nodes(path)
    record.limits = {**measure(), "nodes": nodes}
    record.write()
    for name, value in record.limits.items():
        sys.stdout.write(f"{name} {value}\n")


if __name__ == "__main__":
    main()
