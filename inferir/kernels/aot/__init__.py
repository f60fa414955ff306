"""Kernels compiled ahead of time: one library for each target, with a C ABI and nothing of Python in it.

targets.py   what libraries are built for
lower.py     Numba's front end: bodies of kernels/jit to LLVM IR for no CPU in particular
abi.py       the exported functions, and how kernels take their arguments
emit.py      LLVM's back end and the linker, for one target
build.py     all of it, cached: `python -m inferir.kernels.aot.build`
library.py   loads a library and calls it
"""
