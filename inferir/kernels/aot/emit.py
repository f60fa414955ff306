"""LLVM IR to a linked library, for one target: `python -m inferir.kernels.aot.emit TARGET OUT BITCODE...`.

The parts are linked with the exported functions (`abi.exports`) into one module, of which all but those is private,
optimised for the target's CPU, and linked by the lld that the ziglang package carries.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import llvmlite.binding as llvm

from inferir.kernels.aot.abi import BYTE_PRODUCTS, ELF_EXPORTS, EXPORTS, exports, without_target
from inferir.kernels.aot.targets import LIBC, TARGETS, Target
from inferir.kernels.jit._leaves import PERMUTES

__all__ = ["emit", "link"]


def emit(target: Target, parts: Sequence[bytes]) -> bytes:
    """The object file of all kernels in `parts` for one target."""
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    machine = llvm.Target.from_triple(target.triple).create_target_machine(
        cpu=target.cpu, features=target.features, opt=3, reloc="pic", codemodel="default"
    )
    module = llvm.parse_assembly(without_target(exports()))
    for part in parts:
        module.link_in(llvm.parse_bitcode(part))
    exported = ELF_EXPORTS if target.file.endswith(".so") else EXPORTS
    known = {"inferir_registers_nbytes": target.registers_nbytes} | ({} if target.asks else {BYTE_PRODUCTS: 0})
    for number, value in known.items():
        module.link_in(llvm.parse_assembly(f"@{number} = constant i64 {value}"))
        module.get_global_variable(number).linkage = "internal"
    if target.asks:
        module.link_in(llvm.parse_assembly(f"@{BYTE_PRODUCTS} = global i64 0"))
    module.link_in(llvm.parse_assembly(_permutes(target)))
    for function in module.functions:
        if not function.is_declaration and function.name not in exported:
            function.linkage = "internal"
    module.triple, module.data_layout = target.triple, str(machine.target_data)
    options = llvm.create_pipeline_tuning_options(speed_level=3)
    options.loop_vectorization = True
    builder = llvm.create_pass_builder(machine, options)
    builder.getModulePassManager().run(module, builder)
    return bytes(machine.emit_object(module))


def _permutes(target: Target) -> str:
    """Definitions of `_leaves.PERMUTES`. Where there is no such instruction, their calls are in code that is never
    reached (`_leaves.add_four`), and go with it."""
    definitions = []
    for lanes, (ours, theirs) in PERMUTES.items():
        floats, numbers = f"<{lanes} x {('double', 'float')[lanes == 16]}>", f"<{lanes} x i{512 // lanes}>"
        arguments = f"{floats} %low, {numbers} %number, {floats} %high"
        body = f"ret {floats} %low"
        if target.registers_nbytes >= 2048:
            definitions.append(f"declare {floats} @{theirs}({floats}, {numbers}, {floats})")
            body = f"%taken = call {floats} @{theirs}({arguments}) ret {floats} %taken"
        definitions.append(f"define {floats} @{ours}({arguments}) alwaysinline {{ {body} }}")
    return "\n".join(definitions)


def link(target: Target, code: bytes, out: Path) -> None:
    """Link an object file. What it calls and does not have stops it, but for `LIBC` on ELF."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "kernels.o"
        path.write_bytes(code)
        if target.file.endswith(".so"):
            defined = [f"--defsym={name}=0" for name in LIBC]
            _linker(target, "--no-undefined", *defined, "-o", str(path.with_suffix(".so")), str(path))
            _linker(target, "-o", str(out), str(path))
        else:
            _linker(target, *(f"--export={name}" for name in EXPORTS), "-o", str(out), str(path))


def _linker(target: Target, *arguments: str) -> None:
    command = [sys.executable, "-m", "ziglang", *target.link, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{target.name}: {' '.join(target.link[:1])} failed: {done.stderr or done.stdout}")


if __name__ == "__main__":
    name, out, *paths = sys.argv[1:]
    target = TARGETS[name]
    link(target, emit(target, [Path(path).read_bytes() for path in paths]), Path(out))
