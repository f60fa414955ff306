"""No peer but a limit: reading the rows, of which only the largest value is kept, on as many threads as others have.

NumPy's maximum is the fastest way found: 31 MB in 2.6 ms, where a sum takes 3.2 and BLAS's dot product 2.8.
"""

from __future__ import annotations

import numpy as np

from benchmarks.rivals.subject import Array, Prepared, Subject
from inferir.threads import Threads

__all__ = ["prepare"]


def prepare(subject: Subject) -> Prepared:
    threads = Threads(subject.threads)

    def read(rows: Array) -> Array:
        parts = np.array_split(rows, subject.threads)
        largest = np.empty(len(parts), rows.dtype)

        def read_part(part: int) -> None:
            largest[part] = parts[part].max(initial=-np.inf)

        threads.share(read_part, len(parts))
        return largest

    return Prepared(read)
