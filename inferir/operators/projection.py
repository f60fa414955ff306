"""Projections: out = (x - mean) @ components.T / scale."""

from __future__ import annotations

from inferir.operators._binder import NUMPY, Binder, Value
from inferir.operators._packing import TOTALS, packed


def project(b: Binder) -> Value:
    """Tensors mean (columns), components (outputs, columns), scale (outputs), all of one width.

    Attribute width: tensors are f64, and computed so; or with `wider` f32, and computed in the width of x.
    """
    stored = ("f64", "f32")[b.choice("width", ("f64", "wider"), "f64")]
    x = b.input("f64" if stored == "f64" else None)
    components = b.tensor("components", stored, None, x.width).astype(NUMPY[x.dtype])
    mean, scale = (
        b.tensor(role, stored, length).astype(NUMPY[x.dtype])
        for role, length in (("mean", x.width), ("scale", len(components)))
    )
    scratch = b.scratch(x.dtype, TOTALS[0], x.width), b.scratch(x.dtype, *TOTALS)
    return b.call("project", x, mean, packed(components), scale, *scratch, width=len(components))


OPERATORS = {"project": project}
