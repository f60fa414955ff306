"""Names for the arrays that kernels take, whose dtypes and shapes are in `signatures.KERNELS`, and how packed ones are
read."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Floats: TypeAlias = npt.NDArray[Any]
Integers: TypeAlias = npt.NDArray[np.integer[Any]]


def unpacked(packed: Floats, outputs: int, vectors: int = 1, which: int = 0) -> Floats:
    """[outputs, columns] from packed[group, column, vector * lanes + lane]: vector `which` of `vectors`."""
    groups, columns, width = packed.shape
    by_vector = packed.reshape(groups, columns, vectors, width // vectors)[:, :, which]
    return np.asarray(by_vector.transpose(0, 2, 1).reshape(-1, columns)[:outputs])
