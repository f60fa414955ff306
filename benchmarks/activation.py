"""Links and activations on eight columns."""

from __future__ import annotations

from benchmarks.common import Case, KernelBenchmark, positive

_PLAIN = (
    "softmax", "sigmoid_stepwise", "softmax_stepwise", "exp", "softplus", "tanh", "relu", "signed_square", "normal_cdf",
)  # fmt: skip


class Activation(
    KernelBenchmark,
    cases={
        **{name: Case() for name in _PLAIN},
        "sigmoid": Case({"scale": 1.0}),
        "exp2": Case({"scale": -0.1}),
        "log": Case({"x": positive}),
        "normal_quantile": Case({"x": positive}, reference_rows=100),
    },
):
    """Kernels of `kernels.activation`."""
