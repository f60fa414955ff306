"""The C ABI of a compiled library, written as LLVM IR. docs/reference/kernel-abi.md is for those who call it.

Every kernel is a private function `void (const int64_t *block)`: one type for all, so that one native loop runs a whole
plan. A block is the kernel's arguments, flattened in the order of its line in `signatures.KERNELS`: an array is the
address of its first element and then each of its dimensions, a number of type i64 is itself, one of type f64 its bits.
Addresses take 64 bits on every target; where a pointer is shorter, the upper ones are ignored.

What the library exports:

    int64_t inferir_abi_version(void)            signatures.ABI_VERSION
    int64_t inferir_digest(void)                 manifest.signatures_digest(): another table has other kernels there
    const char *inferir_names(void)              the kernels' names in the table's order, each ended by a newline
    int64_t inferir_kernel(int64_t index)        address (WebAssembly: table index) of the kernel at that place; else 0
    int64_t inferir_run(const int64_t *steps, int64_t n_steps)
        Runs kernels one after the other. A step is three numbers: a kernel's address, its block's, and that of a number
        which the kernel sets to something not negative where it meets a row that it cannot take, or 0 for none. Such a
        row ends the run. Returns that step's index, or -1.
    int64_t inferir_rows(const int64_t *table, int64_t rows, int64_t answer, int64_t n_rows)
        Runs them over rows and answer at these addresses, a bounded number at a time. The table says how, and where in
        the blocks lengths and addresses go (`program.frames.Frame.rows_table`). Returns the number of the first row of
        the run that ended early times the number of steps, plus the step's index; or -1.

ELF libraries have functions of CPython beside them (`abi_cpython.py`). That for AVX-512 also has a number:

    int64_t inferir_byte_products                0; 1 says that this CPU has VNNI, and makes some answers faster
"""

from __future__ import annotations

import itertools

from llvmlite import ir

from inferir.kernels.aot.abi_cpython import CPYTHON_EXPORTS, call_record, call_row, call_rows, each
from inferir.kernels.aot.manifest import signatures_digest
from inferir.kernels.signatures import ABI_VERSION, KERNELS, Signature

__all__ = ["BYTE_PRODUCTS", "ELF_EXPORTS", "EXPORTS", "exports", "function_name", "thunk", "without_target"]

EXPORTS = ("inferir_abi_version", "inferir_digest", "inferir_names", "inferir_kernel", "inferir_run", "inferir_rows")

ELF_EXPORTS = (*EXPORTS, *CPYTHON_EXPORTS)

#: A number beside them, where the target `asks`: 0, until who loads the library puts 1 there.
BYTE_PRODUCTS = "inferir_byte_products"

_I8, _I32, _I64, _F64 = ir.IntType(8), ir.IntType(32), ir.IntType(64), ir.DoubleType()
_POINTER, _NUMBERS = _I8.as_pointer(), _I64.as_pointer()
_KERNEL = ir.FunctionType(ir.VoidType(), [_NUMBERS])

_BYTES = {"u8": 1, "u16": 2, "i32": 4, "u32": 4, "i64": 8, "f32": 4, "f64": 8}


def function_name(signature: Signature) -> str:
    """The private function of a kernel."""
    return f"kernel.{signature.name}"


def _constant(value: int) -> ir.Constant:
    return ir.Constant(_I64, value)


def thunk(signature: Signature, body: str) -> ir.Module:
    """A module with the kernel's function, which reads the block and calls `body` in Numba's calling convention.

    That takes a place for the result, one for an exception, and an array as (meminfo, parent, items, bytes of an item,
    data, shape, strides), all of them flat. Kernels give no result and raise nothing: both places are scratch.
    """
    module = ir.Module()
    function = ir.Function(module, _KERNEL, function_name(signature))
    (block,) = function.args
    block.add_attribute("noalias")
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    null, places = ir.Constant(_POINTER, None), itertools.count()

    def take() -> ir.Value:
        return builder.load(builder.gep(block, [_constant(next(places))], inbounds=True))

    values: list[ir.Value] = [builder.alloca(_POINTER), builder.alloca(_POINTER)]
    for argument in signature.arguments:
        first = take()
        if not argument.dims:
            values.append(builder.bitcast(first, _F64) if argument.dtype == "f64" else first)
            continue
        item: ir.Value = _constant(_BYTES[argument.dtype])
        shape: list[ir.Value] = [take() for _ in argument.dims]
        strides: list[ir.Value] = []
        span = item
        for length in reversed(shape):
            strides.insert(0, span)
            span = builder.mul(span, length)
        values += [null, null, builder.udiv(span, item), item, builder.inttoptr(first, _POINTER), *shape, *strides]
    numba = ir.Function(module, ir.FunctionType(_I32, [value.type for value in values]), body)
    builder.call(numba, values)
    builder.ret_void()
    return module


def exports() -> ir.Module:
    """A module with the exported functions, over the table's kernels, which are declared and defined elsewhere."""
    module = ir.Module()
    _give_number(module, "inferir_abi_version", ABI_VERSION)
    _give_number(module, "inferir_digest", signatures_digest())
    text = bytearray("".join(f"{name}\n" for name in KERNELS).encode() + b"\0")
    names = _private_constant(module, "names", ir.Constant(ir.ArrayType(_I8, len(text)), text))
    builder = _function(module, "inferir_names", ir.FunctionType(_POINTER, []))
    builder.ret(builder.bitcast(names, _POINTER))
    functions = [ir.Function(module, _KERNEL, function_name(signature)) for signature in KERNELS.values()]
    _look_up(module, functions)
    run = _run(module)
    call_row(module, run)
    call_rows(module, _rows(module, run))
    call_record(module)
    return module


def without_target(module: ir.Module) -> str:
    """The module as text, without the lines that name a machine: it is linked into modules for many."""
    return "\n".join(line for line in str(module).splitlines() if not line.startswith("target "))


def _function(module: ir.Module, name: str, kind: ir.FunctionType) -> ir.IRBuilder:
    return ir.IRBuilder(ir.Function(module, kind, name).append_basic_block("entry"))


def _give_number(module: ir.Module, name: str, value: int) -> None:
    _function(module, name, ir.FunctionType(_I64, [])).ret(_constant(value))


def _private_constant(module: ir.Module, name: str, value: ir.Constant) -> ir.GlobalVariable:
    variable = ir.GlobalVariable(module, value.type, name)
    variable.linkage, variable.global_constant, variable.initializer = "internal", True, value
    return variable


def _look_up(module: ir.Module, functions: list[ir.Function]) -> None:
    """inferir_kernel(index): functions[index], or 0 beyond the ends."""
    table = _private_constant(
        module, "table", ir.Constant(ir.ArrayType(_KERNEL.as_pointer(), len(functions)), functions)
    )
    builder = _function(module, "inferir_kernel", ir.FunctionType(_I64, [_I64]))
    (index,) = builder.function.args
    with builder.if_then(builder.icmp_unsigned(">=", index, _constant(len(functions)))):
        builder.ret(_constant(0))
    place = builder.gep(table, [_constant(0), index], inbounds=True)
    builder.ret(builder.ptrtoint(builder.load(place), _I64))


def _run(module: ir.Module) -> ir.Function:
    """inferir_run(steps, n_steps)."""
    builder = _function(module, "inferir_run", ir.FunctionType(_I64, [_NUMBERS, _I64]))
    function = builder.function
    steps, n_steps = function.args
    head, body, check, following, stopped, done = (
        function.append_basic_block(name) for name in ("head", "body", "check", "following", "stopped", "done")
    )
    builder.branch(head)
    builder.position_at_end(head)
    step = builder.phi(_I64)
    step.add_incoming(_constant(0), function.entry_basic_block)
    builder.cbranch(builder.icmp_signed("<", step, n_steps), body, done)

    builder.position_at_end(body)
    first = builder.mul(step, _constant(3))
    kernel, block, problem = (
        builder.load(builder.gep(steps, [builder.add(first, _constant(k))], inbounds=True)) for k in range(3)
    )
    builder.call(builder.inttoptr(kernel, _KERNEL.as_pointer()), [builder.inttoptr(block, _NUMBERS)])
    builder.cbranch(builder.icmp_unsigned("==", problem, _constant(0)), following, check)

    builder.position_at_end(check)
    row = builder.load(builder.inttoptr(problem, _NUMBERS))
    builder.cbranch(builder.icmp_signed(">=", row, _constant(0)), stopped, following)

    builder.position_at_end(following)
    step.add_incoming(builder.add(step, _constant(1)), following)
    builder.branch(head)

    builder.position_at_end(stopped)
    builder.ret(step)
    builder.position_at_end(done)
    builder.ret(_constant(-1))
    return function


def _rows(module: ir.Module, run: ir.Function) -> ir.Function:
    """inferir_rows(table, rows, answer, n_rows)."""
    builder = _function(module, "inferir_rows", ir.FunctionType(_I64, [_NUMBERS, _I64, _I64, _I64]))
    table, rows, answer, n_rows = builder.function.args

    def number(place: ir.Value) -> ir.Value:
        return builder.load(builder.gep(table, [place], inbounds=True))

    def lesser(one: ir.Value, other: ir.Value) -> ir.Value:
        return builder.select(builder.icmp_signed("<", one, other), one, other)

    steps, n_steps, most, block_rows, row_nbytes, answer_nbytes, *counts = (number(_constant(k)) for k in range(10))
    with each(builder, n_rows, most) as start:
        n = lesser(most, builder.sub(n_rows, start))
        row, first_answer = (
            builder.add(begin, builder.mul(start, nbytes))
            for begin, nbytes in ((rows, row_nbytes), (answer, answer_nbytes))
        )
        first: ir.Value = _constant(10)
        for count, value in zip(counts, (n, lesser(block_rows, n), row, first_answer), strict=True):
            with each(builder, count, _constant(1)) as k:
                builder.store(value, builder.inttoptr(number(builder.add(first, k)), _NUMBERS))
            first = builder.add(first, count)
        stopped = builder.call(run, [builder.inttoptr(steps, _NUMBERS), n_steps])
        with builder.if_then(builder.icmp_signed(">=", stopped, _constant(0))):
            builder.ret(builder.add(builder.mul(start, n_steps), stopped))
    builder.ret(_constant(-1))
    return builder.function
