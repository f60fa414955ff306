"""What libraries are built for: one line each. `library.py` chooses among those of the machine it runs on.

x86-64 levels are those of the psABI: v2 is any server since 2009 (SSE4.2), v3 since 2013 (AVX2, FMA), v4 has AVX-512.
Neoverse N1 is AWS Graviton2. WebAssembly features are those of every browser since 2022 but SIMD's relaxed part.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["LIBC", "TARGETS", "Target"]


class Target(NamedTuple):
    """`cpu` and `features` are LLVM's words; `registers_nbytes` those of all vector registers; `link` is the linker's
    name and options. `asks`: some CPUs of the target have byte products (`jit/_bytes.py`), and others not."""

    name: str
    triple: str
    cpu: str
    features: str
    registers_nbytes: int
    file: str
    link: tuple[str, ...]
    asks: bool = False


#: What an ELF library may leave to the process that loads it, which has a C library. WebAssembly has instructions.
LIBC = ("memcpy", "memmove", "memset")

_ELF = ("ld.lld", "-shared", "-s", "--build-id=none", "--hash-style=gnu", "-z", "now", "-z", "noexecstack")
_WASM = ("wasm-ld", "--no-entry", "-s", "--export-table", "--export=__heap_base", "--stack-first")
_WASM_FEATURES = "+simd128,+bulk-memory,+nontrapping-fptoint,+sign-ext,+mutable-globals"
_LINUX = "unknown-linux-gnu"

TARGETS: dict[str, Target] = {
    target.name: target
    for target in (
        Target("x86_64_v2", f"x86_64-{_LINUX}", "x86-64-v2", "", 256, "kernels.x86_64_v2.so", _ELF),
        Target("x86_64_v3", f"x86_64-{_LINUX}", "x86-64-v3", "", 512, "kernels.x86_64_v3.so", _ELF),
        Target("x86_64_v4", f"x86_64-{_LINUX}", "x86-64-v4", "", 2048, "kernels.x86_64_v4.so", _ELF, asks=True),
        Target("aarch64", f"aarch64-{_LINUX}", "neoverse-n1", "", 512, "kernels.aarch64.so", _ELF),
        Target("wasm32", "wasm32-unknown-unknown", "generic", _WASM_FEATURES, 256, "kernels.wasm", _WASM),
    )
}
