"""`inferir info`: what a bug report needs, and what "auto" picks here."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from typing import Any

import click

from inferir import __version__, kernels
from inferir.cli._options import as_json
from inferir.cli._output import facts, print_json, show
from inferir.kernels.aot.library import cpu_flags

#: What is installed of the packages that we use, or convert from; more than one name where a package has several.
_PACKAGES: tuple[tuple[str, ...], ...] = (
    ("numpy",), ("numba",), ("llvmlite",), ("nanoarrow",), ("pyarrow",), ("cryptography",), ("pandas",), ("polars",),
    ("scikit-learn",), ("xgboost", "xgboost-cpu"), ("lightgbm",), ("catboost",), ("onnx",), ("onnxruntime",),
)  # fmt: skip

#: Vector instructions, by what Linux calls them.
_VECTORS = {
    "avx512f": "avx512f",
    "avx2": "avx2",
    "avx": "avx",
    "sse4_2": "sse4.2",
    "sve2": "sve2",
    "sve": "sve",
    "asimd": "neon",
}


@click.command
@as_json
def info(as_json: bool) -> None:
    """Show versions, processor, kernels and cache.

    \b
    Example:
      inferir info
    """
    found = _info()
    if as_json:
        print_json(found)
        return
    processor, compiles = found["processor"], "jit" in found["backends"]
    show(
        facts(
            [
                ("inferir", found["inferir"]),
                ("python", f"{found['python']}, {found['platform']}"),
                ("processor", ", ".join(filter(None, [processor["name"], f"{processor['cores']} cores"]))),
                ("vectors", ", ".join(processor["vectors"])),
                ("kernels", ", ".join(found["backends"])),
                ("auto picks", found["auto"]),
                *((f"no {name}", reason) for name, reason in found["unavailable"].items()),
                ("compiled for", found["library"] and f"{found['library']['level']}, {found['library']['path']}"),
                ("kernel cache", found["cache_folder"] or ("none can be written" if compiles else None)),
                ("installed", ", ".join(f"{name} {version}" for name, version in found["packages"].items())),
            ]
        )
    )


def _info() -> dict[str, Any]:
    backends = kernels.available()
    return {
        "inferir": __version__,
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "platform": platform.platform(),
        "processor": {"name": _processor(), "cores": os.cpu_count(), "vectors": _vectors()},
        "backends": list(backends),
        "unavailable": {name: kernels.why_not(name) for name in kernels.BACKENDS if name not in backends},
        "auto": kernels.select().name if backends else None,
        "library": _library() if "aot" in backends else None,
        "cache_folder": _cache_folder() if "jit" in backends else None,
        "packages": _packages(),
    }


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            names = [line.partition(":")[2].strip() for line in file if line.startswith("model name")]
    except OSError:
        names = []
    return names[0] if names else platform.processor() or platform.machine()


def _vectors() -> list[str]:
    """Of those that kernels are faster with. Nothing where there is no Linux to ask."""
    flags = cpu_flags()
    return [name for flag, name in _VECTORS.items() if flag in flags]


def _library() -> dict[str, str]:
    """The compiled kernels in use: the CPU's level and the file."""
    from inferir.kernels.aot import native

    found = native()
    return {"level": found.level, "path": found.path}


def _cache_folder() -> str | None:
    from inferir.kernels.jit._compile import cache_folder

    folder = cache_folder()
    return None if folder is None else str(folder)


def _packages() -> dict[str, str]:
    found = {}
    for names in _PACKAGES:
        for name in names:
            try:
                found[names[0]] = importlib.metadata.version(name)
                break
            except importlib.metadata.PackageNotFoundError:
                continue
    return found
