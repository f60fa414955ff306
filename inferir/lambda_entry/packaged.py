"""Opens a model that `inferir package` made: plan and arrays beside an .apr file, without NumPy.

    model/plan      what `program.frozen.freeze` wrote down
    model/arrays    arrays that are not in the .apr file as they stand
    model/model.apr the model; mapped, not read, so that pages which no request needs stay on disk

The .apr file may lie elsewhere: in a layer (/opt/model), or in a bucket, from where it is fetched to /tmp once.
"""

from __future__ import annotations

import os

from inferir.errors import FileAccessError, ModelLoadError
from inferir.kernels.aot.library import load
from inferir.program.frozen import FrozenModel

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

__all__ = ["ARRAYS", "MODEL", "PLAN", "open_package"]

MODEL, PLAN, ARRAYS, REMOTE = "model.apr", "plan", "arrays", "remote.json"


def open_package(folders: Sequence[str]) -> FrozenModel:
    """The model whose plan is in the first of `folders`; its .apr file is in any of them, or where remote.json says.

    Raises FileAccessError (E010) where a file is not there, ModelLoadError (E001) and ChecksumError (E002) where it is
    not the one that was packaged, BackendError (E009) where the CPU has no compiled kernels.
    """
    first = folders[0]
    with _opened(os.path.join(first, PLAN)) as file:
        plan = file.read()
    with _opened(os.path.join(first, ARRAYS)) as file:
        arrays = bytearray(file.read())
    path = next((p for p in (os.path.join(folder, MODEL) for folder in folders) if os.path.exists(p)), None)
    if path is None:
        remote = os.path.join(first, REMOTE)
        if not os.path.exists(remote):
            raise FileAccessError(f"expected the model at {' or '.join(os.path.join(f, MODEL) for f in folders)}")
        from inferir.lambda_entry.remote import fetch

        path = fetch(remote)
    return FrozenModel(plan, _mapped(path), arrays, load())


def _opened(path: str) -> Any:
    try:
        return open(path, "rb")
    except OSError as error:
        raise FileAccessError(f"{path}: expected a file to read, got: {error.strerror}") from error


def _mapped(path: str) -> Any:
    """The file in memory that counts as writable, because addresses are taken of such memory alone."""
    from mmap import ACCESS_COPY, mmap

    with _opened(path) as file:
        try:
            return mmap(file.fileno(), 0, access=ACCESS_COPY)
        except (OSError, ValueError) as error:  # an empty file cannot be mapped
            raise ModelLoadError(f"{path}: expected an .apr file, got one that cannot be mapped: {error}") from error
