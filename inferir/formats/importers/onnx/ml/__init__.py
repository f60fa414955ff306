"""Operators of the domain ai.onnx.ml: classical models and what prepares rows for them."""

from __future__ import annotations

from inferir.formats.importers.onnx.ml import ensembles, linear, preprocess, svm
from inferir.formats.importers.onnx.plain.broadcasting import Handler
from inferir.formats.importers.onnx.plain.parts import ML_HANDLERS

__all__ = ["HANDLERS"]

HANDLERS: dict[str, Handler] = {
    **ensembles.HANDLERS,
    **linear.HANDLERS,
    **svm.HANDLERS,
    **preprocess.HANDLERS,
    **ML_HANDLERS,
}
