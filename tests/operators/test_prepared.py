"""Tables that files keep: what comes back is what was made, and nothing that can be written makes kernels do harm."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import inferir
from inferir import kernels
from inferir.errors import FormatError, ModelLoadError
from inferir.formats.apr import to_bytes
from inferir.formats.importers._builder import Answers, Builder
from inferir.formats.importers._forest import CATEGORICAL, DEFAULT_LEFT, ZERO_MISSING, Forest, Tree
from inferir.formats.prepared import is_prepared, tensor_name
from inferir.formats.spec import ModelSpec, TensorSpec
from inferir.kernels.signatures import KERNELS
from inferir.plan import Plan
from inferir.prepare import prepare
from inferir.program import ARRAY
from inferir.program.arrays import NUMPY
from tests.kernels.twins import examples
from tests.operators import strict

N_COLUMNS = 4

pytestmark = pytest.mark.skipif(kernels.available()[0] == "reference", reason="tables are made by compiled kernels")


def _tree(random: np.random.Generator, forest: Forest, n_leaves: int, values: int, categories: int) -> Tree:
    n_nodes = 2 * n_leaves - 1
    left, right = np.full((2, n_nodes), -1)
    leaves = [0]
    for split in range(n_leaves - 1):
        node = leaves.pop(int(random.integers(len(leaves))))
        left[node], right[node] = 2 * split + 1, 2 * split + 2
        leaves += [2 * split + 1, 2 * split + 2]
    tree = Tree(
        left=left,
        right=right,
        split_index=random.integers(0, N_COLUMNS, n_nodes),
        threshold=random.standard_normal(n_nodes),
        flags=random.choice([0, DEFAULT_LEFT, ZERO_MISSING], n_nodes),
        value=random.standard_normal((n_nodes, values)),
    )
    for node in np.flatnonzero(tree.left >= 0)[:: 3 if categories else n_nodes][: n_nodes * bool(categories)]:
        tree.flags[node] |= CATEGORICAL
        tree.threshold[node] = forest.add_set(np.flatnonzero(random.random(categories) < 0.5))
    return tree


def forest_spec(
    leaves: tuple[int, ...], *, targets: int = 1, values: int = 1, categories: int = 0, width: str = "f32"
) -> ModelSpec:
    """A forest with the tables that `convert` would keep. Its trees' targets take turns."""
    random, forest = np.random.default_rng(len(leaves) + values), Forest(width, "f64")
    for n_leaves in leaves:
        forest.trees.append(_tree(random, forest, n_leaves, values, categories))
    builder = Builder(N_COLUMNS)
    tensors = forest.tensors(np.zeros(targets * values))
    tensors["tree_target"] = (np.arange(len(leaves)) % targets * values).astype(np.int32)
    raw = builder.op("forest", "input", tensors=tensors, **forest.attributes())
    answers = Answers("regression", "GradientBoosting", raw)
    return prepare(builder.spec(answers, name="t", version="1", framework={}), fewest_nodes=0)


def symmetric_spec() -> ModelSpec:
    """Symmetric trees, some of them of one leaf, with their tables."""
    random, depth = np.random.default_rng(0), np.array([3, 0, 8, 2, 5, 1])
    n_splits, n_leaves = int(depth.sum()), int((2**depth).sum())
    tensors = {
        "split_begin": np.cumsum([0, *depth]),
        "split_index": random.integers(0, N_COLUMNS, n_splits).astype(np.int32),
        "threshold": random.standard_normal(n_splits).astype(np.float32),
        "nan_right": random.integers(0, 2, n_splits).astype(np.uint8),
        "equal": np.zeros(n_splits, np.uint8),
        "leaf_begin": np.cumsum([0, *(2**depth)]),
        "leaf_value": random.standard_normal((n_leaves, 2)),
        "base": np.zeros(2),
    }
    builder = Builder(N_COLUMNS)
    raw = builder.op("oblivious", "input", tensors=tensors, scale=1.0)
    answers = Answers("regression", "GradientBoosting", raw)
    return prepare(builder.spec(answers, name="t", version="1", framework={}), fewest_nodes=0)


#: Every way in which tables differ: tiles or none, one leaf, passes of four, several targets or values, sets, and
#: so many thresholds that a column has several planes and three levels.
SPECS: dict[str, Callable[[], ModelSpec]] = {
    "small": lambda: forest_spec((3, 1, 8)),
    "fours": lambda: forest_spec((40, 9, 12, 30, 2, 17), width="f64"),
    "targets": lambda: forest_spec((20, 20, 1, 30, 8, 9, 31, 12, 5, 9), targets=2),
    "values": lambda: forest_spec((20, 7, 6, 10, 3), values=3),
    "sets": lambda: forest_spec((30, 12), categories=40),
    "large": lambda: forest_spec((256, 255, 256, 200, 256)),
    "symmetric": symmetric_spec,
}


@pytest.fixture(scope="module")
def specs() -> dict[str, ModelSpec]:
    return {name: make() for name, make in SPECS.items()}


def rows(n: int = 40, seed: int = 0) -> Any:
    random = np.random.default_rng(seed)
    hard = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-36, 1.0, 2.0, 31.0, 39.0, 40.0, 1e9, -0.5, -3.0])
    x = random.standard_normal((n, N_COLUMNS))
    return np.where(random.random(x.shape) < 0.4, random.choice(hard, x.shape), x)


def arguments(spec: ModelSpec, backend: str = "reference") -> tuple[str, dict[str, Any]]:
    """The kernel that answers, and the model's arrays that it gets, by name."""
    plan = Plan(spec, kernels.select(backend), "f64")
    step = next(s for s in plan.programs["prediction"].steps if "_quantized" in s.kernel)
    names = [argument.name for argument in KERNELS[step.kernel].arguments]
    given = zip(names, step.arguments, strict=True)
    return step.kernel, {name: plan.arrays[a.number] for name, a in given if getattr(a, "kind", None) == ARRAY}


def field_of(spec: ModelSpec, field: str) -> tuple[str, Any]:
    name = next(n for n in spec.tensors if is_prepared(n) and n.endswith(f"/{field}"))
    tensor = spec.tensors[name]
    return name, np.frombuffer(tensor.data, NUMPY[tensor.dtype]).reshape(tensor.shape).copy()


def with_field(spec: ModelSpec, name: str, array: Any, dtype: str | None = None) -> ModelSpec:
    found = dtype or spec.tensors[name].dtype
    data = memoryview(np.ascontiguousarray(array).tobytes())
    return replace(spec, tensors={**spec.tensors, name: TensorSpec(name, found, array.shape, data)})


@pytest.mark.parametrize("name", SPECS)
def test_what_comes_back_is_what_was_made(name: str, specs: dict[str, ModelSpec]) -> None:
    spec = specs[name]
    plain = replace(spec, extra={})  # of no version that is known: made anew
    assert any(map(is_prepared, spec.tensors))
    kernel, made = arguments(plain, kernels.available()[0])
    stored_kernel, stored = arguments(spec)
    assert stored_kernel == kernel
    for field, array in made.items():
        assert stored[field].dtype == array.dtype, field
        np.testing.assert_array_equal(stored[field], array, err_msg=field)


@pytest.mark.parametrize("name", SPECS)
@pytest.mark.parametrize("backend", kernels.available())
def test_answers_are_the_same_bit_for_bit(name: str, backend: str, specs: dict[str, ModelSpec]) -> None:
    stored, made = (
        inferir.load(to_bytes(spec), backend=backend) for spec in (specs[name], replace(specs[name], extra={}))
    )
    x = rows(300)
    for asked in (x, x[:1], x.astype(np.float32)):
        np.testing.assert_array_equal(stored.predict(asked), made.predict(asked))


@pytest.mark.parametrize("name", SPECS)
def test_the_strict_kernel_gives_these_answers(name: str, specs: dict[str, ModelSpec]) -> None:
    """So what it refuses is what the kernels would have done."""
    kernel, given = arguments(specs[name])
    x = rows().astype(np.float64 if kernel.startswith("forest_quantized_f64") else np.float32)
    right = inferir.load(to_bytes(specs[name])).predict(x).reshape(len(x), -1)
    answers = [strict.symmetric(given, x)] if name == "symmetric" else strict.forest(given, x)
    for answer in answers:
        np.testing.assert_allclose(answer, right, rtol=1e-12, atol=1e-12)


def test_tables_of_this_version_of_the_layout(specs: dict[str, ModelSpec]) -> None:
    """Other bytes are another version: raise it, so that files which have these stay as they are."""
    digest = hashlib.sha256()
    for spec in specs.values():
        for name in filter(is_prepared, spec.tensors):
            digest.update(spec.tensors[name].data)
    assert {v for spec in specs.values() for v in spec.extra["prepared"].values()} == {1}
    assert digest.hexdigest() == "8fe274ba8329079e6614a3b997038ee1aec3f372683e0bb5c54f003dbb537604"


def _set(index: Any, value: Any) -> Callable[[Any], Any]:
    def change(array: Any) -> Any:
        array[index] = value
        return array

    return change


#: Model, field, what is done to it, what the error says.
HOSTILE: list[tuple[str, str, Callable[[Any], Any], str]] = [
    ("small", "group", _set((0, 0), N_COLUMNS), "columns below 4"),
    ("small", "group", _set((0, 0), -1), "columns below 4"),
    ("small", "group", _set((0, 2), 0), "1 to 5 levels"),
    ("small", "group", _set((0, 2), 6), "1 to 5 levels"),
    ("small", "group", _set((0, 3), 1), "planes of groups"),
    ("small", "group", _set((-1, 3), 1 << 30), "planes"),
    ("small", "group", _set((0, 4), 1), "cuts of levels"),
    ("small", "group", _set((1, 4), 1 << 30), "cuts of levels"),
    ("small", "group", lambda a: a[:0], "an end of the groups"),
    ("small", "cuts", lambda a: a[:-1], "cuts of levels"),
    ("large", "cuts", _set((0, slice(None)), 0.0), "searches that stay"),
    ("large", "cuts", _set((0, slice(None)), -np.inf), "searches that stay"),
    ("large", "group", _set((0, 2), 1), "cuts of levels|one block"),
    ("small", "plane", _set((0, 0), -1), "codes up to 254"),
    ("small", "plane", _set((0, 1), 255), "codes up to 254"),
    ("small", "sets", _set((-1, 2), 0), "1 to 2048 planes"),
    ("small", "sets", _set((-1, 2), 4096), "1 to 2048 planes"),
    ("small", "sets", lambda a: a[:0], "an end of the groups and of the sets"),
    ("sets", "sets", _set((0, 0), 4), "columns below 4"),
    ("sets", "sets", _set((0, 1), 1 << 19), "sets that ask"),
    ("sets", "sets", _set((0, 1), -5), "answers of sets"),
    ("sets", "sets", _set((0, 3), 1 << 19), "answers of sets"),
    ("sets", "answer", _set(0, 255), "answers of 0 and 1"),
    ("sets", "answer", lambda a: a[:-1], "sets that ask"),
    ("fours", "tree", lambda a: a[:-1], "6 trees"),
    ("fours", "tree", _set((1, 0), -1), "tiles of trees"),
    ("fours", "tree", _set((-1, 1), 1 << 20), "ops of trees|no other"),
    ("fours", "tree", _set((1, 2), 1 << 20), "leaves of trees"),
    ("fours", "tree", _set((1, 3), 1), "targets"),
    ("fours", "tree", _set((1, 4), 1), "results in slots"),
    ("fours", "tree", _set((1, 4), 72 << 8), "results in slots"),
    ("fours", "tree", _set((0, 5), 0), "passes of one or four"),
    ("fours", "tree", _set((4, 5), 4), "passes of one or four"),
    ("fours", "tree", _set((3, 5), 1), "passes of one or four"),
    ("targets", "tree", _set((slice(4, 8), 5), 4), "passes of one"),
    ("fours", "tree", _set((1, 6), 0), "2 n - 1 steps"),
    ("fours", "tree", _set((0, 7), 256), "255 levels"),
    ("fours", "tree", _set((0, 7), -(1 << 31)), "255 levels"),
    ("fours", "tile", _set((0, 0), 1 << 20), "tiles over planes"),
    ("fours", "tile", _set((0, 6), -1), "tiles over planes"),
    ("fours", "tile", _set((0, 7), 0), "tiles over planes"),
    ("fours", "tile", _set((0, 7), 257), "tiles over planes"),
    ("fours", "tile", _set((0, 7), -256), "tiles over planes"),
    ("fours", "tile", _set((0, 7), 72 << 8), "tiles over planes"),
    ("fours", "op_plane", _set(0, 65535), "ops over"),
    ("fours", "op_plane", lambda a: a[:-1], "planes of"),
    ("fours", "op", _set((1, 0), 72), "ops over 72 slots"),
    ("fours", "op", _set((2, 0), 255), "ops over 72 slots"),
    ("fours", "op", _set((3, 0), 0), "ops over 72 slots"),
    ("fours", "leaf_first", _set(0, -1), "rows of leaves"),
    ("fours", "leaf_first", _set(0, 1 << 30), "rows of leaves"),
    ("fours", "leaf_first", lambda a: a[:-1], "6 trees"),
    ("fours", "leaf_offset", _set(-1, 255), "rows of leaves"),
    ("fours", "leaf_offset", lambda a: a[:-1], "rows of"),
    ("fours", "is_leaf", lambda a: a[:-1], "a bit for each"),
    ("fours", "is_leaf", _set(0, 255), "n leaves in 2 n - 1 steps"),
    ("fours", "step", _set(0, 1 << 31), "steps over"),
    ("fours", "step", _set(0, 0), "lead forward"),
    ("fours", "step", _set(0, 511 << 8), "stay in their trees"),
    ("fours", "step", lambda a: a[:-1], "n leaves in 2 n - 1 steps"),
    ("fours", "step_leaf", lambda a: a[:-1], ""),
    ("symmetric", "level", _set(0, -1), "levels that ask a plane"),
    ("symmetric", "level", _set(0, 1 << 20), "levels that ask a plane"),
    ("symmetric", "level", lambda a: a[:-1], "19 levels"),
]


@pytest.mark.parametrize("case", range(len(HOSTILE)))
def test_what_could_do_harm_is_refused(case: int, specs: dict[str, ModelSpec]) -> None:
    model, field, change, says = HOSTILE[case]
    name, array = field_of(specs[model], field)
    with pytest.raises(ModelLoadError, match=f"expected prepared tables with .*({says})"):
        inferir.load(to_bytes(with_field(specs[model], name, change(array))))


@pytest.mark.parametrize("field", ["group", "cuts", "tree", "op", "leaf_offset", "step"])
def test_a_table_that_is_missing_or_of_another_kind_is_refused(field: str, specs: dict[str, ModelSpec]) -> None:
    spec = specs["fours"]
    name, array = field_of(spec, field)
    others = {key: tensor for key, tensor in spec.tensors.items() if key != name}
    with pytest.raises(ModelLoadError, match=f"expected a tensor 'prepared/.*/{field}' beside"):
        inferir.load(to_bytes(replace(spec, tensors=others)))
    with pytest.raises(ModelLoadError, match=f"expected tensor 'prepared/.*/{field}' to hold"):
        inferir.load(to_bytes(with_field(spec, name, np.zeros(array.shape, np.int64), "i64")))
    with pytest.raises(ModelLoadError, match=f"expected tensor 'prepared/.*/{field}' of shape"):
        inferir.load(to_bytes(with_field(spec, name, array[None])))


def test_cuts_of_the_other_width_are_refused(specs: dict[str, ModelSpec]) -> None:
    name, array = field_of(specs["fours"], "cuts")
    with pytest.raises(ModelLoadError, match="cuts of float64"):
        inferir.load(to_bytes(with_field(specs["fours"], name, array.astype(np.float32), "f32")))


@pytest.mark.parametrize(
    "versions",
    [{}, {"quantized": 2}, {"quantized": "1"}, {"quantized": True}, {"symmetric": 1}, [], None, 1, "quantized"],
)
def test_tables_of_a_version_that_is_not_known_are_made_anew(versions: Any, specs: dict[str, ModelSpec]) -> None:
    name, array = field_of(specs["fours"], "tree")
    nonsense = with_field(specs["fours"], name, np.full_like(array, -1))
    model = inferir.load(to_bytes(replace(nonsense, extra={"prepared": versions})))
    np.testing.assert_array_equal(model.predict(rows()), inferir.load(to_bytes(specs["fours"])).predict(rows()))


def test_tables_of_another_operator_are_not_taken(specs: dict[str, ModelSpec]) -> None:
    spec = specs["fours"]
    output = spec.operators[0].output
    moved = {name.replace(f"/{output}/", "/other/"): tensor for name, tensor in spec.tensors.items()}
    renamed = {name: replace(tensor, name=name) for name, tensor in moved.items()}
    model = inferir.load(to_bytes(replace(spec, tensors=renamed)))
    np.testing.assert_array_equal(model.predict(rows()), inferir.load(to_bytes(spec)).predict(rows()))
    assert tensor_name("other", "quantized", "tree") in model.spec.tensors


def judge(data: bytes) -> bool:
    """Whether the file is taken; then no kernel leaves its arrays."""
    try:
        loaded = inferir.load(data, backend="reference")
    except FormatError:
        return False
    kernel, given = arguments(loaded.spec)
    x = rows(12).astype(np.float64 if kernel.startswith("forest_quantized_f64") else np.float32)
    if "oblivious" in kernel:
        strict.symmetric(given, x)
    else:
        strict.forest(given, x)
    loaded.predict(x)  # an IndexError, if an index were wrong
    compiled = inferir.load(data)
    for asked in (x[:1], rows(300)):
        compiled.predict(asked)
    return True


VALUES = [0, 1, -1, 2, 5, 64, 71, 72, 127, 128, 254, 255, 256, 257, 1 << 14, 1 << 17, 71 << 8, 72 << 8, (1 << 31) - 1]
FLOATS = [0.0, -1.0, 1.0, np.inf, -np.inf, np.nan, 1e30, 1e-40]


def _changed(data: Any, flat: Any) -> Any:
    """Another value for one item of a table."""
    was = flat[data.draw(st.integers(0, flat.size - 1))]
    if flat.dtype.kind == "f":
        return data.draw(st.sampled_from(FLOATS))
    bits = np.iinfo(flat.dtype).bits
    values = st.sampled_from(VALUES)
    near = st.sampled_from([-256, -2, -1, 0, 1, 2, 256]).map(lambda by: int(was) + by)
    flipped = st.integers(0, bits - 1).map(lambda bit: int(was) ^ 1 << bit)
    value = data.draw(st.one_of(values, near, flipped))
    return np.array(value & (1 << bits) - 1, np.uint64).astype(flat.dtype)


@pytest.mark.parametrize("model", SPECS)
@given(data=st.data())
@examples(40)
def test_no_tables_make_a_kernel_leave_its_arrays(model: str, data: Any) -> None:
    spec = _MADE.setdefault(model, SPECS[model]())
    for _ in range(data.draw(st.sampled_from([1, 1, 1, 2, 4]))):
        name = data.draw(st.sampled_from([n for n, t in spec.tensors.items() if is_prepared(n) and 0 not in t.shape]))
        _, array = field_of(spec, name.rpartition("/")[2])
        array.reshape(-1)[data.draw(st.integers(0, array.size - 1))] = _changed(data, array.reshape(-1))
        spec = with_field(spec, name, array)
    judge(to_bytes(spec))


#: Made once, not for every example.
_MADE: dict[str, ModelSpec] = {}


@pytest.mark.parametrize("model", ["small", "sets", "symmetric"])
def test_bytes_of_tables_flipped_with_a_right_checksum(model: str, specs: dict[str, ModelSpec]) -> None:
    tensors = specs[model].tensors.items()
    nbytes = sum(-(-memoryview(t.data).nbytes // 64) * 64 for name, t in tensors if is_prepared(name))
    data = to_bytes(specs[model])
    first = len(data) - 4 - nbytes
    taken = 0
    random = np.random.default_rng(0)
    for position in random.choice(np.arange(first, len(data) - 4), 150, replace=False):
        flipped = bytearray(data[:-4])
        flipped[position] ^= 1 << int(random.integers(8))
        taken += judge(bytes(flipped) + zlib.crc32(flipped).to_bytes(4, "little"))
    assert taken  # ranks and cuts may be any
