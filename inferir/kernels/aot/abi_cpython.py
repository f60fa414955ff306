"""Functions of CPython in a compiled library, written as LLVM IR: what `builtin` makes built-in functions of.

    PyObject *inferir_call(PyObject *own, PyObject *row)
        Copies the bytes `row` to a place and runs steps: `inferir_run`'s answer, or -2 for other bytes.
    PyObject *inferir_call_rows(PyObject *own, PyObject *const *given, Py_ssize_t n_given)
        Runs steps over the rows of one NumPy array into another, without the interpreter's lock: `inferir_rows`'s
        answer, or -2 for something else than two arrays of as many rows.

`own` is a bytes object with numbers behind its head: addresses, and what of CPython has to be known, which has no
symbols here. Arrays are read where NumPy's C API has kept their fields since 1.0 (PyArrayObject_fields).
"""

from __future__ import annotations

from llvmlite import ir

from inferir.kernels.aot.builtin import ARRAY_DATA, ARRAY_LENGTHS, ARRAY_RANK, HEAD_NBYTES, LENGTH, TYPE

__all__ = ["CPYTHON_EXPORTS", "call_row", "call_rows"]

CPYTHON_EXPORTS = ("inferir_call", "inferir_call_rows")

_I1, _I32, _I64, _POINTER = ir.IntType(1), ir.IntType(32), ir.IntType(64), ir.IntType(8).as_pointer()
_NUMBERS = _I64.as_pointer()


def _constant(value: int) -> ir.Constant:
    return ir.Constant(_I64, value)


def _number(builder: ir.IRBuilder, of: ir.Value, offset: int, kind: ir.Type = _I64) -> ir.Value:
    """The number so many bytes behind a pointer."""
    return builder.load(builder.bitcast(builder.gep(of, [_constant(offset)]), kind.as_pointer()))


def _is(builder: ir.IRBuilder, one: ir.Value, other: ir.Value) -> ir.Value:
    return builder.icmp_unsigned("==", one, other)


def _own(builder: ir.IRBuilder, own: ir.Value, count: int) -> list[ir.Value]:
    return [_number(builder, own, HEAD_NBYTES + 8 * place) for place in range(count)]


def _python(builder: ir.IRBuilder, address: ir.Value, result: ir.Type, *given: ir.Value) -> ir.Value:
    """Calls the function of CPython that is at `address`."""
    kind = ir.FunctionType(result, [value.type for value in given])
    return builder.call(builder.inttoptr(address, kind.as_pointer()), given)


def call_row(module: ir.Module, run: ir.Function) -> None:
    """inferir_call(own, row); `own` is what `builtin.row_function` writes."""
    function = ir.Function(module, ir.FunctionType(_POINTER, [_POINTER, _POINTER]), CPYTHON_EXPORTS[0])
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    own, row = function.args
    steps, n_steps, row_address, nbytes, bytes_type, make_int = _own(builder, own, 6)
    stopped = builder.alloca(_I64)
    builder.store(_constant(-2), stopped)
    is_bytes = _is(builder, _number(builder, row, TYPE), bytes_type)
    fits = _is(builder, _number(builder, row, LENGTH), nbytes)
    with builder.if_then(builder.and_(is_bytes, fits)):
        kind = ir.FunctionType(ir.VoidType(), [_POINTER, _POINTER, _I64, _I1])
        copy = ir.Function(module, kind, "llvm.memcpy.p0.p0.i64")
        contents = builder.gep(row, [_constant(HEAD_NBYTES)])
        builder.call(copy, [builder.inttoptr(row_address, _POINTER), contents, nbytes, ir.Constant(_I1, 0)])
        builder.store(builder.call(run, [builder.inttoptr(steps, _NUMBERS), n_steps]), stopped)
    builder.ret(_python(builder, make_int, _POINTER, builder.load(stopped)))


def call_rows(module: ir.Module, run_rows: ir.Function) -> None:
    """inferir_call_rows(own, given, n_given); `own` is what `builtin.rows_function` writes."""
    kind = ir.FunctionType(_POINTER, [_POINTER, _POINTER.as_pointer(), _I64])
    function = ir.Function(module, kind, CPYTHON_EXPORTS[1])
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    own, given, n_given = function.args
    table, array_type, make_int, release_lock, take_lock = _own(builder, own, 5)
    stopped = builder.alloca(_I64)
    builder.store(_constant(-2), stopped)
    with builder.if_then(_is(builder, n_given, _constant(2))):
        rows, answer = (builder.load(builder.gep(given, [_constant(k)])) for k in range(2))
        arrays = rows, answer
        with builder.if_then(builder.and_(*(_is(builder, _number(builder, a, TYPE), array_type) for a in arrays))):
            ranks = (_number(builder, array, ARRAY_RANK, _I32) for array in arrays)
            with builder.if_then(builder.and_(*(builder.icmp_signed(">", r, ir.Constant(_I32, 0)) for r in ranks))):
                _answer(builder, rows, answer, table, run_rows, release_lock, take_lock, stopped)
    builder.ret(_python(builder, make_int, _POINTER, builder.load(stopped)))


def _answer(
    builder: ir.IRBuilder,
    rows: ir.Value,
    answer: ir.Value,
    table: ir.Value,
    run_rows: ir.Function,
    release_lock: ir.Value,
    take_lock: ir.Value,
    stopped: ir.Value,
) -> None:
    """Runs over two arrays, if they have as many rows."""
    lengths = (builder.inttoptr(_number(builder, array, ARRAY_LENGTHS), _NUMBERS) for array in (rows, answer))
    n_rows, n_answers = (builder.load(first) for first in lengths)
    with builder.if_then(_is(builder, n_rows, n_answers)):
        places = (_number(builder, array, ARRAY_DATA) for array in (rows, answer))
        state = _python(builder, release_lock, _POINTER)
        found = builder.call(run_rows, [builder.inttoptr(table, _NUMBERS), *places, n_rows])
        _python(builder, take_lock, ir.VoidType(), state)
        builder.store(found, stopped)
