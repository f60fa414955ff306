"""The `.apr` file: writing, reading, its size, how much of reading is its CRC, and what prepared tables change."""

from __future__ import annotations

import zlib
from functools import partial
from pathlib import Path

import inferir
from benchmarks.common import fastest
from benchmarks.model import setup_cache
from benchmarks.specs import FORESTS, MODELS, make_forest
from inferir.formats import apr
from inferir.prepare import prepare

__all__ = ["File", "Prepared", "setup_cache"]


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


class Prepared:
    """Loading a forest whose file has its tables, and one that makes them."""

    param_names = ("forest", "tables")
    params = (FORESTS, ("stored", "made"))

    def setup(self, forest: str, tables: str) -> None:
        plain = make_forest(forest)
        self.plain = apr.to_bytes(plain)
        self.stored = apr.to_bytes(prepare(plain, fewest_nodes=0))
        self.data = self.stored if tables == "stored" else self.plain
        inferir.load(self.data)

    def time_load(self, forest: str, tables: str) -> None:
        inferir.load(self.data)

    def track_size(self, forest: str, tables: str) -> int:
        return len(self.data)

    def track_speedup(self, forest: str, tables: str) -> float:
        """Time of loading a file without tables over that of loading one with them, in turns."""
        made, stored = (fastest(partial(inferir.load, data)) for data in (self.plain, self.stored))
        return made / stored

    track_size.unit = "bytes"  # type: ignore[attr-defined]
    track_speedup.unit = "times"  # type: ignore[attr-defined]
