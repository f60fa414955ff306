"""Projections: out = (x - mean) @ components.T / scale."""

from __future__ import annotations

from inferir.operators._binder import Binder, Value


def project(b: Binder) -> Value:
    """Tensors mean (columns), components (outputs, columns), scale (outputs), all f64."""
    x = b.input("f64")
    components = b.tensor("components", "f64", None, x.width)
    mean, scale = b.tensor("mean", "f64", x.width), b.tensor("scale", "f64", len(components))
    return b.call("project", x, mean, components, scale, width=len(components))


OPERATORS = {"project": project}
