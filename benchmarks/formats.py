"""The `.apr` file: writing, reading, its size, and how much of reading is its CRC."""

from __future__ import annotations

import zlib
from functools import partial
from pathlib import Path

from benchmarks.common import fastest
from benchmarks.model import setup_cache
from benchmarks.specs import MODELS
from inferir.formats import apr

__all__ = ["File", "setup_cache"]


class File:
    """One model's file."""

    param_names = ("model",)
    params = (MODELS,)

    def setup(self, model: str) -> None:
        self.path = f"{model}.apr"
        self.data = Path(self.path).read_bytes()
        self.spec = apr.read(self.data)

    def time_read(self, model: str) -> None:
        apr.read(self.path)

    def time_write(self, model: str) -> None:
        apr.write(self.spec, "written.apr")

    def time_to_bytes(self, model: str) -> None:
        apr.to_bytes(self.spec)

    def peakmem_read(self, model: str) -> None:
        apr.read(self.path)

    def track_size(self, model: str) -> int:
        return len(self.data)

    def track_crc_share(self, model: str) -> float:
        """Time of the checksum over the time of reading from memory."""
        crc, read = (fastest(call) for call in (partial(zlib.crc32, self.data), partial(apr.read, self.data)))
        return crc / read

    track_size.unit = "bytes"  # type: ignore[attr-defined]
    track_crc_share.unit = "share"  # type: ignore[attr-defined]
