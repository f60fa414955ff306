"""Projections: out = (x - mean) @ components.T / scale."""

from __future__ import annotations

from inferir.operators._binder import NUMPY, Binder, Value
from inferir.operators._packing import TOTALS, packed
from inferir.operators.linear import checked_by


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
    source = b.unchecked(x) if 0 < len(components) < x.width else None
    scratch = b.scratch(x.dtype, TOTALS[0], x.width), b.scratch(x.dtype, *TOTALS)
    out = b.call("project", source or x, mean, packed(components), scale, *scratch, width=len(components))
    return out if source is None else checked_by(b, source, out)


OPERATORS = {"project": project}
