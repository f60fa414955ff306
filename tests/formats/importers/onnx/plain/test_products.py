"""Products with matrices and distances to points against onnxruntime."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import helper, numpy_helper

from inferir.errors import ModelLoadError, UnsupportedModelError
from tests.formats.importers.onnx.agreement import DOUBLE, FLOAT, close, converted, graph, node, rows, theirs

WIDTH = 4
RNG = np.random.default_rng(0)
W, V, B = (RNG.normal(size=shape).astype(np.float32) for shape in ((4, 3), (4,), (3,)))
POINTS = RNG.normal(size=(9, 4)).astype(np.float32)


def made(nodes: Any, constants: Any = None, kind: int = FLOAT) -> Any:
    return graph(nodes, {"x": (kind, [None, WIDTH])}, {"y": kind}, constants)


def agree(model: Any, kind: type = np.float32, relative: float = 1e-5) -> Any:
    x = rows(60, WIDTH).astype(kind)
    ours = converted(model)
    close(ours._run("transformed", x), theirs(model, x)[0], relative, relative)
    return ours


@pytest.mark.parametrize("bias", [np.float32(2), B, B[None, :], np.ones((1, 1), np.float32)])
@pytest.mark.parametrize("order", ["m b", "b m"])
def test_a_product_and_a_sum_are_one_operator(order: str, bias: Any) -> None:
    ours = agree(made([node("MatMul", "x w", "m"), node("Add", order, "y")], {"w": W, "b": bias}))
    assert [o.op for o in ours.spec.operators if o.op in ("linear", "affine", "add")] == ["linear"]


def test_a_product_that_is_read_twice_stays() -> None:
    agree(made([node("MatMul", "x w", "m"), node("Add", "m b", "a"), node("Mul", "a m", "y")], {"w": W, "b": B}))


def test_a_sum_that_widens_stays() -> None:
    wide = np.ones((1, 5), np.float32)
    agree(made([node("MatMul", "x w", "m"), node("Add", "m b", "y")], {"w": W[:, :1], "b": wide}))


@pytest.mark.parametrize("kind", [FLOAT, DOUBLE])
def test_matmul(kind: int) -> None:
    dtype = np.float32 if kind == FLOAT else np.float64
    agree(made([node("MatMul", "x w", "y")], {"w": W.astype(dtype)}, kind), dtype, 1e-5 if kind == FLOAT else 1e-12)


def test_matmul_by_a_vector() -> None:
    nodes = [node("MatMul", "x v", "m"), node("Reshape", "m s", "y")]
    agree(made(nodes, {"v": V, "s": np.array([-1, 1])}))


def test_matmul_from_the_left() -> None:
    nodes = [
        node("Transpose", "x", "t", perm=[1, 0]),
        node("MatMul", "w t", "m"),
        node("Transpose", "m", "y", perm=[1, 0]),
    ]
    agree(made(nodes, {"w": W.T.copy()}))


def test_products_of_constants() -> None:
    nodes = [node("MatMul", "p w", "m"), node("MatMul", "m q", "w2"), node("MatMul", "x w2", "y")]
    agree(made(nodes, {"p": np.eye(4, dtype=np.float32), "w": W, "q": np.eye(3, dtype=np.float32)}))


@pytest.mark.parametrize("trans", [0, 1])
@pytest.mark.parametrize("third", [None, B, B[None, :], np.float32([2])])
def test_gemm(third: Any, trans: int) -> None:
    constants = {"w": W.T.copy() if trans else W}
    if third is not None:
        constants["c"] = third
    made_node = node("Gemm", "x w c" if third is not None else "x w", "y", alpha=0.5, beta=-2.0, transB=trans)
    agree(made([made_node], constants))


def test_gemm_with_a_third_operand_of_rows() -> None:
    nodes = [node("MatMul", "x w", "m"), node("Gemm", "x w m", "y", alpha=-2.0, beta=0.5)]
    agree(made(nodes, {"w": W}))


def scan(*body: Any, constants: Any = None, **more: Any) -> Any:
    """A loop over points with the rows as its state, and the transpose that follows."""
    inner = helper.make_graph(
        [node("Identity", "state", "next"), *body],
        "body",
        [
            helper.make_tensor_value_info("state", FLOAT, [None, None]),
            helper.make_tensor_value_info("point", FLOAT, [None]),
        ],
        [
            helper.make_tensor_value_info("next", FLOAT, [None, None]),
            helper.make_tensor_value_info("found", FLOAT, [None]),
        ],
        [numpy_helper.from_array(np.asarray(v), k) for k, v in {"axis": np.array([1]), **(constants or {})}.items()],
    )
    loop = node("Scan", "x points", "last all", body=inner, num_scan_inputs=1, **more)
    return made([loop, node("Transpose", "all", "y", perm=[1, 0])], {"points": POINTS})


@pytest.mark.parametrize(
    ("chain", "constants"),
    [
        ([node("ReduceSumSquare", "d axis", "found", keepdims=0)], None),
        ([node("Abs", "d", "a"), node("ReduceSum", "a axis", "found", keepdims=0)], None),
        ([node("Abs", "d", "a"), node("ReduceMax", "a axis", "found", keepdims=0)], None),
        (
            [node("Abs", "d", "a"), node("Pow", "a p", "b"), node("ReduceSum", "b axis", "found", keepdims=0)],
            {"p": np.float32(3)},
        ),
    ],
)
def test_scan_of_distances(chain: Any, constants: Any) -> None:
    agree(scan(node("Sub", "state point", "d"), *chain, constants=constants))


@pytest.mark.parametrize(
    ("body", "constants"),
    [
        ([node("Add", "state point", "d"), node("ReduceSumSquare", "d axis", "found", keepdims=0)], None),
        (
            [node("Sub", "state point", "d"), node("ReduceSumSquare", "d axis0", "found", keepdims=0)],
            {"axis0": np.array([0])},
        ),
        ([node("Sub", "state c", "d"), node("ReduceSumSquare", "d axis", "found", keepdims=0)], {"c": np.float32(1)}),
        ([node("Sub", "state point", "d"), node("Pow", "d p", "b"), node("ReduceSum", "b axis", "found", keepdims=0)],
         {"p": np.float32(2)}),
    ],
)  # fmt: skip
def test_other_loops_are_refused(body: Any, constants: Any) -> None:
    with pytest.raises(UnsupportedModelError, match=r"a Scan.*supported: the loops that skl2onnx writes"):
        converted(scan(*body, constants=constants))


def test_a_loop_backwards_is_refused() -> None:
    body = [node("Sub", "state point", "d"), node("ReduceSumSquare", "d axis", "found", keepdims=0)]
    with pytest.raises(UnsupportedModelError, match="a Scan"):
        converted(scan(*body, scan_input_directions=[1]))


@pytest.mark.parametrize("metric", ["euclidean", "sqeuclidean"])
def test_cdist(metric: str) -> None:
    agree(made([node("CDist", "x points", "y", "com.microsoft", metric=metric)], {"points": POINTS}))


@pytest.mark.parametrize(
    ("nodes", "error", "message"),
    [
        ([node("MatMul", "x b", "y")], ModelLoadError, "a matrix of 4 rows"),
        ([node("MatMul", "x x", "y")], UnsupportedModelError, "rows with rows"),
        ([node("Gemm", "w x", "y")], UnsupportedModelError, "rows first, a constant matrix second"),
        ([node("Gemm", "x w", "y", transA=1)], UnsupportedModelError, "rows first"),
        ([node("Gemm", "x w v", "y")], ModelLoadError, "expected 3 values in C, got 4"),
        ([node("MatMul", "w w", "z"), node("Add", "x z", "y")], ModelLoadError, "matrices that fit"),
        ([node("CDist", "x x", "y", "com.microsoft")], UnsupportedModelError, "distances of rows to constant points"),
        ([node("CDist", "x w", "y", "com.microsoft")], ModelLoadError, "expected points of 4 columns"),
        ([node("CDist", "x w", "y", "com.microsoft", metric="cosine")], UnsupportedModelError, "metric 'cosine'"),
    ],
)
def test_refused(nodes: Any, error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        converted(made(nodes, {"w": W, "b": B, "v": V}))
