"""Operators of ONNX's own domain, as converters write them around models."""

from __future__ import annotations

from inferir.formats.importers.onnx.plain import distances, elementwise, parts, products, reductions, shapes
from inferir.formats.importers.onnx.plain.broadcasting import Handler
from inferir.formats.importers.onnx.plain.distances import MICROSOFT_HANDLERS

__all__ = ["HANDLERS", "MICROSOFT_HANDLERS"]

HANDLERS: dict[str, Handler] = {
    **elementwise.HANDLERS,
    **shapes.HANDLERS,
    **parts.HANDLERS,
    **reductions.HANDLERS,
    **products.HANDLERS,
    **distances.HANDLERS,
}
