"""The words of a model: every operator an `.apr` file may name, one family a file, each bound to kernel calls.

An operator is a function of a `Binder`: it reads its attributes and tensors, and adds the steps to its output.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from inferir.operators import (
    activation,
    arithmetic,
    decision,
    distance,
    linear,
    naive_bayes,
    preprocess,
    projection,
    svm,
    tree,
)
from inferir.operators._binder import Binder, BoundStep, Draft, Kept, Layout, Value
from inferir.operators._prepared import QUANTIZED, SYMMETRIC

__all__ = ["LAYOUTS", "OPERATORS", "Binder", "BoundStep", "Draft", "Kept", "Layout", "Value"]

#: Of tables that files keep.
LAYOUTS = (QUANTIZED, SYMMETRIC)

OPERATORS: Mapping[str, Callable[[Binder], Value]] = {
    **preprocess.OPERATORS,
    **tree.OPERATORS,
    **linear.OPERATORS,
    **projection.OPERATORS,
    **distance.OPERATORS,
    **naive_bayes.OPERATORS,
    **svm.OPERATORS,
    **activation.OPERATORS,
    **arithmetic.OPERATORS,
    **decision.OPERATORS,
}
