"""Whether two peers answer the same: nothing is timed that does not.

Labels may differ in the few rows near a border, numbers by what the narrower of two widths can hold. onnxruntime and
daal4py round thresholds of double models to float32, so that a few rows take another branch: some may be off.
"""

from __future__ import annotations

import numpy as np

from benchmarks.rivals.cases import Array, Case

__all__ = ["COMPARED_ROWS", "agree"]

COMPARED_ROWS = 1000

#: Share of rows that may be off. Peers that are not here: none of their numbers, `_UNEQUAL_LABELS` of their labels.
_OFF = {"onnxruntime": 0.01, "daal4py": 0.01}
_UNEQUAL_LABELS = 0.002

#: Peers that compute in float32 whatever they are given.
_FLOAT32_INSIDE = ("onnxruntime", "daal4py", "faiss")

#: Largest difference, over the largest number: for what is float32 anywhere on its way, and for float64 throughout.
_NARROW, _WIDE = 1e-4, 1e-9


def _reshaped(theirs: Array, ours: Array) -> Array:
    """Two classes are told by one number in some libraries: the second class's."""
    if theirs.size * 2 == ours.size and ours.ndim == 2 and ours.shape[1] == 2:
        second = theirs.reshape(len(ours))
        return np.stack([1 - second, second], axis=1)
    return theirs.reshape(ours.shape)


def agree(case: Case, ours: Array, theirs: Array, peer: str) -> float:
    """Share of rows that are off, which is allowed to be that much. Raises AssertionError if there are more."""
    if ours.dtype.kind in "iu":
        off, allowed = np.mean(ours != theirs.reshape(ours.shape)), max(_UNEQUAL_LABELS, _OFF.get(peer, 0))
    else:
        narrow = peer in _FLOAT32_INSIDE or np.float32 in (theirs.dtype, ours.dtype, case.dtype)
        same = _reshaped(theirs, ours)
        error = np.abs(ours - same).reshape(len(ours), -1).max(1) / np.abs(same).max()
        off, allowed = np.mean(~(error <= (_NARROW if narrow else _WIDE))), _OFF.get(peer, 0)
    assert off <= allowed, f"{case.key}: {off:.2%} of the rows are not what {peer} answers"
    return float(off)
