"""A whole `.onnx` file."""

from __future__ import annotations

from inferir.formats.importers._builder import Answers, Builder
from inferir.formats.importers.onnx.graph import columns_of, convert
from inferir.formats.importers.onnx.reader import read_model

__all__ = ["onnx_file"]


def onnx_file(data: bytes) -> tuple[Builder, Answers, dict[str, str]]:
    """The model in the bytes of an `.onnx` file: builder, answers, and the framework that wrote it.

    Raises ModelLoadError (E001) where the file is broken, UnsupportedModelError (E004) for what there is no operator
    for, and BackendError (E009) without the onnx package.
    """
    model = read_model(data)
    names = columns_of(model)
    builder = Builder(len(names), names if len(model.inputs) > 1 else None)
    return builder, convert(model, builder), {"name": "ONNX", "version": model.producer}
