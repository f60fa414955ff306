"""What libraries were made of, kept beside them in `lib/manifest.json`, and whether that is still what is there.

    inputs    digest of sources, tools, Python and host: equal inputs give equal bytes
    sources   digest of the sources alone, which whoever has the package can compare
    tools     versions of what built them
    files     name -> SHA-256 of each library
    left_out  target -> why there is no library for it
    reason    why there is none at all, instead of the rest

In a checkout sources change. Libraries of older ones would answer with kernels that nobody looks at any more.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from inferir.kernels.aot.library import FOLDER
from inferir.kernels.signatures import ABI_VERSION, KERNELS

__all__ = ["MANIFEST", "SOURCES", "problem", "read", "signatures_digest", "sources_digest"]

MANIFEST = "manifest.json"

PACKAGE = Path(__file__).resolve().parent.parent
#: Whatever can change a byte of a library, as patterns under inferir/kernels.
SOURCES = (
    "signatures.py", "jit/*.py", "aot/abi.py", "aot/abi_cpython.py", "aot/build.py", "aot/builtin.py", "aot/emit.py",
    "aot/lower.py", "aot/targets.py",
)  # fmt: skip


def sources_digest(kernels: Path = PACKAGE) -> str | None:
    """SHA-256 of the sources' names and contents; None where they are not all there, as in a package for AWS Lambda."""
    digest = hashlib.sha256()
    for pattern in SOURCES:
        paths = sorted(kernels.glob(pattern))
        if not paths:
            return None
        for path in paths:
            contents = path.read_bytes()
            digest.update(f"{path.relative_to(kernels).as_posix()} {len(contents)}\n".encode() + contents)
    return digest.hexdigest()


def signatures_digest() -> int:
    """63 bits of a SHA-256 over the table of kernels: order, names, arguments, their types and dimensions."""
    lines = [f"{ABI_VERSION}\n"]
    for signature in KERNELS.values():
        arguments = (f"{a.name} {a.dtype}[{','.join(a.dims)}]" for a in signature.arguments)
        lines.append(f"{signature.name}: {', '.join(arguments)}\n")
    return int.from_bytes(hashlib.sha256("".join(lines).encode()).digest()[:8], "big") >> 1


def read(folder: str | os.PathLike[str] = FOLDER) -> dict[str, Any] | None:
    """The manifest of a folder of libraries; None where there is none."""
    try:
        return dict(json.loads(Path(folder, MANIFEST).read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return None


def problem(folder: str | os.PathLike[str] = FOLDER) -> str | None:
    """Why the libraries of a folder are not those of the sources beside this file; None where they are."""
    made = read(folder)
    if made is None:
        return f"they are not built (no {Path(folder, MANIFEST)}); `python -m inferir.kernels.aot.build` does"
    if not made.get("files"):
        return f"they could not be built where this was installed: {made.get('reason')}"
    sources = sources_digest()
    if sources is not None and made.get("sources") != sources:
        return "they are older than their sources; `python -m inferir.kernels.aot.build` builds them anew"
    return None
