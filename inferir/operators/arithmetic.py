"""Arithmetic of graphs. Widths follow the inputs: double if one of them is."""

from __future__ import annotations

from inferir.operators._binder import NUMPY, Array, Binder, Value

OPERATIONS = ("add", "subtract", "multiply", "divide", "divide_into", "power", "power_of", "minimum", "maximum")
RELATIONS = ("equal", "less", "at_most", "greater", "at_least")
FUNCTIONS = ("absolute", "sqrt", "floor", "ceil", "round", "truncate", "sign", "erf", "is_nan")
REDUCTIONS = ("sum", "product", "minimum", "maximum")


def _dtype(b: Binder) -> str:
    return "f64" if any(b.input(index=i).dtype == "f64" for i in range(b.n_inputs)) else "f32"


def _two(b: Binder, kernel: str, code: int) -> Value:
    """A kernel of x and y, where y is the second input or the tensor `y` (columns), one row for all."""
    dtype = _dtype(b)
    x = b.input(dtype)
    if b.has("y"):
        row = b.tensor("y", "f64", x.width).astype(NUMPY[dtype])[None, :]
        return b.call(kernel, x, row, code)
    y = b.input(dtype, 1)
    if y.width != x.width:
        raise b.fail(f"expected values of {x.width} columns, got {y.width}")

    return b.call(kernel, x, y, code)


def combine(b: Binder) -> Value:
    """x with y, column by column. Attribute operation; divide_into is y / x, power_of is y**x."""
    return _two(b, "combine", b.choice("operation", OPERATIONS))


def compare(b: Binder) -> Value:
    """1 where x stands in the attribute `relation` to y, else 0."""
    return _two(b, "compare", b.choice("relation", RELATIONS))


def choose(b: Binder) -> Value:
    """Where the first input is not 0, x, else y: each the next input, or the tensor `x` or `y` (columns)."""
    condition = b.input(_dtype(b))
    branches: list[Array | Value] = []
    n_inputs = 1
    for role in ("x", "y"):
        if b.has(role):
            branches.append(b.tensor(role, "f64", condition.width).astype(NUMPY[condition.dtype])[None, :])
            continue
        value = b.input(condition.dtype, n_inputs)
        if value.width != condition.width:
            raise b.fail(f"expected values of {condition.width} columns, got {value.width}")
        branches.append(value)
        n_inputs += 1
    return b.call("choose", condition, *branches)


def apply(b: Binder) -> Value:
    """Attribute function, of each element."""
    return b.call("apply", b.input(), b.choice("function", FUNCTIONS))


def reduce(b: Binder) -> Value:
    """One value from each run of `length` columns. Attributes operation, length."""
    x, length = b.input(), b.attribute("length", int)
    operation = b.choice("operation", REDUCTIONS)
    if length < 1 or x.width % length:
        raise b.fail(f"expected runs of a length that divides {x.width} columns, got {length}")
    return b.call("reduce", x, operation, length, width=x.width // length)


def take(b: Binder) -> Value:
    """table[position]: what each position stands for."""
    table = b.tensor("table", "f64", None)
    return b.call("take", b.picks(len(table)), table, dtype="f64")


def pick(b: Binder) -> Value:
    """x[position]: the second input says which columns."""
    x = b.input()
    index = b.picks(x.width, 1)
    return b.call("pick", x, index, width=index.width)


def rank(b: Binder) -> Value:
    """Columns of the `count` smallest values, or largest ones, in order; of equals the first."""
    x, count = b.input(), b.attribute("count", int)
    if not 1 <= count <= x.width:
        raise b.fail(f"expected a count within 1 and {x.width}, got {count}")
    return b.call(
        "rank", x, int(b.attribute("largest", bool, False)), width=count, dtype="i64", below=(x.width,) * count
    )


OPERATORS = {function.__name__: function for function in (combine, compare, choose, apply, reduce, take, pick, rank)}
