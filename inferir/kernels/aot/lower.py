"""Numba bodies to LLVM IR that knows of no CPU: `python -m inferir.kernels.aot.lower OUT PART PARTS`.

It writes every PARTS-th kernel of the table as bitcode, one function each, its helpers inlined. `build.py` starts it,
with settings of Numba's that keep the build host out of the IR.

Kernels are compiled here from their Python functions, past their dispatchers: those keep compiled code in the user's
cache, by CPU, where this code would be taken for that of a real one.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import sys
from pathlib import Path
from typing import Any

import llvmlite.binding as llvm
from numba.core.compiler import Flags, compile_extra

from inferir.kernels.aot.abi import function_name, thunk, without_target
from inferir.kernels.jit._compile import numba_types
from inferir.kernels.jit._leaves import PERMUTES
from inferir.kernels.signatures import KERNELS, Signature

__all__ = ["lower"]

#: In the names that Numba gives to functions of ours.
_PACKAGE = "inferir"

#: Numba calls the C library for a square root, which is one instruction everywhere.
_SQRT = """
declare {type} @llvm.sqrt.{width}({type})
define internal {type} @{name}({type} %x) alwaysinline {{
  %root = call {type} @llvm.sqrt.{width}({type} %x)
  ret {type} %root
}}
"""
_INSTRUCTIONS = {
    "sqrt": _SQRT.format(name="sqrt", type="double", width="f64"),
    "sqrtf": _SQRT.format(name="sqrtf", type="float", width="f32"),
}


#: Numba links each function for this machine as well, and so wants to find what only the last link knows.
_PLACE = ctypes.c_int64()
for _name in ("inferir_registers_nbytes", *(ours for ours, _ in PERMUTES.values())):
    llvm.add_symbol(_name, ctypes.addressof(_PLACE))


def lower(signature: Signature) -> llvm.ModuleRef:
    """A module with one function, the kernel's (`abi.thunk`)."""
    family = importlib.import_module(f"inferir.kernels.jit.{signature.family}")
    dispatcher: Any = getattr(family, signature.body)
    flags: Any = Flags()  # type: ignore[no-untyped-call]
    dispatcher.targetdescr.options.parse_as_flags(flags, dispatcher.targetoptions)
    flags.no_cpython_wrapper = flags.no_cfunc_wrapper = True
    context = dispatcher.targetdescr.target_context
    typing_context = dispatcher.targetdescr.typing_context
    context.refresh()
    typing_context.refresh()
    types = numba_types(signature.arguments)
    compiled: Any = compile_extra(  # type: ignore[no-untyped-call]
        typing_context, context, dispatcher.py_func, types, None, flags, {}
    )
    body = compiled.fndesc.llvm_func_name
    module = llvm.parse_assembly(compiled.library.get_llvm_str())
    called = {function.name for function in module.functions if function.is_declaration}
    module.link_in(llvm.parse_assembly(without_target(thunk(signature, body))))
    for name in sorted(called & _INSTRUCTIONS.keys()):
        module.link_in(llvm.parse_assembly(_INSTRUCTIONS[name]))
    for function in module.functions:
        if function.name == body:
            function.add_function_attribute("alwaysinline")
        elif not function.is_declaration and _PACKAGE in function.name and b"alwaysinline" not in function.attributes:
            function.add_function_attribute("noinline")  # `_compile.apart`
    keep_only(module, (function_name(signature),))
    return module


def keep_only(module: llvm.ModuleRef, names: tuple[str, ...]) -> None:
    """Make all but `names` private, inline what says so, and drop what is left over."""
    for value in (*module.functions, *module.global_variables):
        common = str(value.linkage) == "Linkage.common"  # Numba's environments; they have no use here
        if value.name not in names and (common or not value.is_declaration):
            value.linkage = "internal"
    passes = llvm.create_new_module_pass_manager()
    passes.add_always_inliner_pass()
    passes.add_global_dead_code_eliminate_pass()
    passes.add_strip_dead_prototype_pass()
    machine = llvm.Target.from_default_triple().create_target_machine()
    passes.run(module, llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options(speed_level=0)))
    builder = llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options(speed_level=3))
    simplify = builder.getFunctionPassManager()
    for function in module.functions:
        if not function.is_declaration:
            simplify.run(function, builder)


if __name__ == "__main__":
    gc.disable()  # a thirteenth of the time, and a process that soon ends
    out, part, parts = sys.argv[1:]
    signatures = list(KERNELS.values())[int(part) :: int(parts)]
    whole = lower(signatures[0])
    for signature in signatures[1:]:
        whole.link_in(lower(signature))
    Path(out).write_bytes(whole.as_bitcode())
