"""Functions of CPython in a compiled library, written as LLVM IR: what `builtin` makes built-in functions of.

    PyObject *inferir_call(PyObject *own, PyObject *row)
        Copies the bytes `row` to a place and runs steps: `inferir_run`'s answer, or -2 for other bytes.
    PyObject *inferir_call_rows(PyObject *own, PyObject *const *given, Py_ssize_t n_given)
        Runs steps over the rows of one NumPy array into another, without the interpreter's lock: `inferir_rows`'s
        answer, or -2 for something else than two arrays of as many rows.
    PyObject *inferir_call_record(PyObject *own, PyObject *const *given, Py_ssize_t n_given)
        Appends the numbers of a list, further numbers and texts to records, and returns a line with the list's numbers
        in it, as bytes; no bytes where one of them does not fit, or where the last record is full now.

`own` is a bytes object with numbers behind its head: addresses, and what of CPython has to be known, which has no
symbols here. Arrays are read where NumPy's C API has kept their fields since 1.0 (PyArrayObject_fields).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from llvmlite import ir

from inferir.kernels.aot.builtin import (
    ARRAY_DATA,
    ARRAY_LENGTHS,
    ARRAY_RANK,
    FLOAT_VALUE,
    HEAD_NBYTES,
    LENGTH,
    LIST_ITEMS,
    LONGEST_LINE,
    TEXT_NBYTES,
    TYPE,
)

__all__ = ["CPYTHON_EXPORTS", "call_record", "call_row", "call_rows", "each"]

CPYTHON_EXPORTS = ("inferir_call", "inferir_call_rows", "inferir_call_record")

_I1, _I8, _I32, _I64, _F64 = ir.IntType(1), ir.IntType(8), ir.IntType(32), ir.IntType(64), ir.DoubleType()
_POINTER = _I8.as_pointer()
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


def _copy(builder: ir.IRBuilder, to: ir.Value, begin: ir.Value, nbytes: ir.Value) -> None:
    kind = ir.FunctionType(ir.VoidType(), [_POINTER, _POINTER, _I64, _I1])
    name, globals_ = "llvm.memcpy.p0.p0.i64", builder.module.globals
    copy = globals_[name] if name in globals_ else ir.Function(builder.module, kind, name)
    builder.call(copy, [to, begin, nbytes, ir.Constant(_I1, 0)])


def _clear(builder: ir.IRBuilder, place: ir.Value, nbytes: ir.Value) -> None:
    kind = ir.FunctionType(ir.VoidType(), [_POINTER, _I8, _I64, _I1])
    clear = ir.Function(builder.module, kind, "llvm.memset.p0.i64")
    builder.call(clear, [place, ir.Constant(_I8, 0), nbytes, ir.Constant(_I1, 0)])


@contextmanager
def each(builder: ir.IRBuilder, end: ir.Value, step: ir.Value) -> Iterator[ir.Value]:
    """What is built inside runs for 0, step, 2 * step, ... below `end`."""
    with builder.goto_entry_block():
        place = builder.alloca(_I64)
    builder.store(_constant(0), place)
    head, body, done = (builder.append_basic_block(name) for name in ("head", "body", "done"))
    builder.branch(head)
    builder.position_at_end(head)
    number = builder.load(place)
    builder.cbranch(builder.icmp_signed("<", number, end), body, done)
    builder.position_at_end(body)
    yield number
    builder.store(builder.add(number, step), place)
    builder.branch(head)
    builder.position_at_end(done)


def call_row(module: ir.Module, run: ir.Function) -> None:
    """inferir_call(own, row); `own` is what `builtin.row_function` writes."""
    function = ir.Function(module, ir.FunctionType(_POINTER, [_POINTER, _POINTER]), CPYTHON_EXPORTS[0])
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    own, row = function.args
    make_int, steps, n_steps, row_address, nbytes, bytes_type = _own(builder, own, 6)
    stopped = builder.alloca(_I64)
    builder.store(_constant(-2), stopped)
    is_bytes = _is(builder, _number(builder, row, TYPE), bytes_type)
    fits = _is(builder, _number(builder, row, LENGTH), nbytes)
    with builder.if_then(builder.and_(is_bytes, fits)):
        contents = builder.gep(row, [_constant(HEAD_NBYTES)])
        _copy(builder, builder.inttoptr(row_address, _POINTER), contents, nbytes)
        builder.store(builder.call(run, [builder.inttoptr(steps, _NUMBERS), n_steps]), stopped)
    builder.ret(_python(builder, make_int, _POINTER, builder.load(stopped)))


def call_rows(module: ir.Module, run_rows: ir.Function) -> None:
    """inferir_call_rows(own, given, n_given); `own` is what `builtin.rows_function` writes."""
    kind = ir.FunctionType(_POINTER, [_POINTER, _POINTER.as_pointer(), _I64])
    function = ir.Function(module, kind, CPYTHON_EXPORTS[1])
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    own, given, n_given = function.args
    make_int, release_lock, take_lock, table, array_type = _own(builder, own, 5)
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


def call_record(module: ir.Module) -> None:
    """inferir_call_record(own, given, n_given); `own` is what `builtin.record_function` writes."""
    kind = ir.FunctionType(_POINTER, [_POINTER, _POINTER.as_pointer(), _I64])
    function = ir.Function(module, kind, CPYTHON_EXPORTS[2])
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    own, given, n_given = function.args
    known = _own(builder, own, 17)
    make_bytes, item_at, *to_double, text_of, error, refuse = known[:7]
    n_listed, n_numbers, n_texts, count_address, records, capacity, record_nbytes, line_nbytes, *types = known[7:]
    nothing = ir.Constant(_POINTER, None)
    expected = builder.add(_constant(1), builder.add(n_numbers, n_texts))
    with builder.if_then(builder.icmp_signed("!=", n_given, expected)):
        _python(builder, refuse, _I32)
        builder.ret(nothing)

    places = builder.gep(own, [_constant(HEAD_NBYTES + 8 * 17)])
    line, fits, size = builder.alloca(_I8, LONGEST_LINE), builder.alloca(_I1), builder.alloca(_I64)
    _copy(builder, line, builder.gep(places, [builder.mul(n_listed, _constant(8))]), line_nbytes)
    builder.store(ir.Constant(_I1, 1), fits)
    count = builder.inttoptr(count_address, _NUMBERS)
    n = builder.load(count)
    record = builder.add(records, builder.mul(record_nbytes, n))

    def keep(number: ir.Value, place: ir.Value) -> None:
        address = builder.add(record, builder.mul(place, _constant(8)))
        builder.store(number, builder.inttoptr(address, _F64.as_pointer()))

    listed = builder.load(given)
    last = _python(builder, item_at, _POINTER, listed, builder.sub(n_listed, _constant(1)))
    with builder.if_then(_is(builder, last, nothing)):  # it is no list, or too short
        builder.ret(nothing)
    items = builder.inttoptr(_number(builder, listed, LIST_ITEMS), _POINTER.as_pointer())
    with each(builder, n_listed, _constant(1)) as k:
        number = _double(builder, builder.load(builder.gep(items, [k])), to_double, types)
        keep(number, k)
        place = builder.load(builder.gep(builder.bitcast(places, _NUMBERS), [k]))
        builder.store(builder.and_(builder.load(fits), _print(builder, number, line, place)), fits)
    with each(builder, n_numbers, _constant(1)) as k:
        item = builder.load(builder.gep(given, [builder.add(_constant(1), k)]))
        keep(_double(builder, item, to_double, types), builder.add(n_listed, k))
    first_text = builder.add(record, builder.mul(builder.add(n_listed, n_numbers), _constant(8)))
    with each(builder, n_texts, _constant(1)) as k:
        item = builder.load(builder.gep(given, [builder.add(builder.add(_constant(1), n_numbers), k)]))
        slot = builder.inttoptr(builder.add(first_text, builder.mul(k, _constant(TEXT_NBYTES))), _POINTER)
        _clear(builder, slot, _constant(TEXT_NBYTES))
        text = _python(builder, text_of, _POINTER, item, size)
        with builder.if_then(builder.icmp_unsigned("!=", text, nothing)):
            length = builder.load(size)
            room = builder.icmp_signed("<", length, _constant(TEXT_NBYTES))
            _copy(builder, slot, text, builder.select(room, length, _constant(TEXT_NBYTES)))
    with builder.if_then(builder.icmp_unsigned("!=", _python(builder, error, _POINTER), nothing)):
        builder.ret(nothing)

    following = builder.add(n, _constant(1))
    with builder.if_then(builder.icmp_signed("<", n, capacity)):
        builder.store(following, count)
    said = builder.and_(builder.load(fits), builder.icmp_signed("!=", following, capacity))
    builder.ret(_python(builder, make_bytes, _POINTER, line, builder.select(said, line_nbytes, _constant(0))))


def _double(
    builder: ir.IRBuilder, item: ir.Value, to_double: Sequence[ir.Value], types: Sequence[ir.Value]
) -> ir.Value:
    """The number that an object is: read where it lies in a float, which most are; else asked for. CPython makes a
    float of an int that it takes for any object.
    """
    kind = _number(builder, item, TYPE)
    is_float, is_int = (_is(builder, kind, one) for one in types)
    with builder.goto_entry_block():
        found = builder.alloca(_F64)
    with builder.if_else(is_float) as (of_float, other):
        with of_float:
            builder.store(_number(builder, item, FLOAT_VALUE, _F64), found)
        with other:
            any_to_double, int_to_double = to_double
            ask = builder.select(is_int, int_to_double, any_to_double)
            builder.store(_python(builder, ask, _F64, item), found)
    return builder.load(found)


def _print(builder: ir.IRBuilder, number: ir.Value, line: ir.Value, place: ir.Value) -> ir.Value:
    """Write 1000 times the number over a "0.000" in a line; whether it is from 0 to 9.999."""
    nearest = builder.module.declare_intrinsic("llvm.rint", [_F64])
    units = builder.call(nearest, [builder.fmul(number, ir.Constant(_F64, 1e6))])
    zero = ir.Constant(_F64, 0.0)
    fits = builder.and_(
        builder.fcmp_ordered(">=", units, zero), builder.fcmp_ordered("<", units, ir.Constant(_F64, 1e4))
    )
    whole = builder.fptoui(builder.select(fits, units, zero), _I64)
    for divisor, at in ((1000, 0), (100, 2), (10, 3), (1, 4)):
        digit = builder.urem(builder.udiv(whole, _constant(divisor)), _constant(10))
        letter = builder.add(builder.trunc(digit, _I8), ir.Constant(_I8, ord("0")))
        builder.store(letter, builder.gep(line, [builder.add(place, _constant(at))]))
    return fits
