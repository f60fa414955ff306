"""Projections: out = (x - mean) @ components.T / scale."""

from __future__ import annotations

from inferir.operators._binder import Binder, Value
from inferir.operators._packing import TOTALS, packed


def project(b: Binder) -> Value:
    """Tensors mean (columns), components (outputs, columns), scale (outputs), all f64."""
    x = b.input("f64")
    components = b.tensor("components", "f64", None, x.width)
    mean, scale = b.tensor("mean", "f64", x.width), b.tensor("scale", "f64", len(components))
    scratch = b.scratch("f64", TOTALS[0], x.width), b.scratch("f64", *TOTALS)
    return b.call("project", x, mean, packed(components), scale, *scratch, width=len(components))


OPERATORS = {"project": project}
