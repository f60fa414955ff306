"""Every kernel in one table: its family, its body, its arguments. JIT, reference, ahead-of-time builds, ctypes and the
documentation are made from it.

A line reads `name: argument, argument, ...`; an argument is `name dtype[dimensions]`, or `name dtype` for a number.
Arrays are C-contiguous. `T`, `X` and `L` stand for a float width and are spelled out in VARIANTS: the kernel `scale`
with `T` exists as `scale_f32` and `scale_f64`. Dimensions with the same letter have the same length. `out` and scratch
arrays come last and are written; everything before them is only read. No kernel allocates, raises or returns a value.

    n  rows                 d  input columns           k  output columns         m  tree nodes, or stored rows
    t  trees                l  leaves                  b  rows of a scratch block
    g  groups of outputs    w  lanes of a group    v  vectors of a row

Outputs in groups are packed: `packed[group, column, lane]`, 64 bytes a group and column (`operators/_packing.py`).

ABI_VERSION goes up by one with every change of a line that exists, or of what a library exports beside kernels; a
compiled library with another number is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

__all__ = ["ABI_VERSION", "KERNELS", "Argument", "Signature"]

ABI_VERSION = 12

#: Rows that a forest kernel walks in lockstep: enough independent chains to hide a load, few enough to stay in L1.
BLOCK_ROWS = 256

_FAMILIES = {
    "tree": """
        forest: x X[n,d], split_index i32[m], threshold X[m], left_child i32[m], node_flags u8[m], \
            category_begin i32[c], category_words u32[w], leaf_value L[l,v], tree_root i32[t], tree_depth i32[t], \
            tree_target i32[t], base L[k], special i64, position i32[b], out L[n,k]
        forest_leaves: x X[n,d], split_index i32[m], threshold X[m], left_child i32[m], node_flags u8[m], \
            category_begin i32[c], category_words u32[w], tree_root i32[t], out i32[n,t]
        linear_leaves: x f64[n,d], leaf i32[n,t], leaf_value f64[l], leaf_const f64[l], coef_begin i64[e], \
            coef_index i32[q], coef f64[q], tree_target i32[t], base f64[k], out f64[n,k]
        oblivious: x X[n,d], split_begin i64[e], split_index i32[q], threshold X[q], nan_right u8[q], equal u8[q], \
            leaf_begin i64[e], leaf_value f64[l,v], base f64[k], scale f64, columns X[d,b], \
            position i32[b], out f64[n,k]
        check_forest: split_index i32[m], left_child i32[m], tree_root i32[t], n_columns i64, n_leaves i64, out i64[2]
    """,
    "tree_packed": """
        forest_packed: x X[n,d], slot_column i32[s], slot_flags u8[s], node i32[q], packed_root i32[t], \
            group i32[g,9], cuts X[c,16], plane i32[p,2], tree i32[e,8], tile i32[a,9], op i32[o,3], entry i32[r,1], \
            leaf_value L[l,v], tree_target i32[t], base L[k], shift i64, few i64, values X[z], position u32[b], \
            lane u32[b], reached u32[b], rank i32[b], columns X[4,b], codes u8[h], slots u8[f], sums L[k,y], \
            out L[n,k]
    """,
    "tree_packer": """
        pack_forest: split_index i32[m], threshold X[m], left_child i32[m], node_flags u8[m], tree_root i32[t], \
            size i32[m], below i32[m], place i32[m], slot i32[s], node i32[q], packed_root i32[t], out i64[2]
        cut_forest: left_child i32[m], tree_root i32[t], place i32[m], most i64, height i32[m], owner i32[m], \
            number i32[m], count i32[t,64], kept i32[m], top_left_child i32[m], top_root i32[t], out i64[2]
    """,
    "tree_quantized": """
        forest_quantized: x X[n,d], group i32[g,9], cuts X[c,16], plane i32[p,2], sets i32[h,4], answer u8[w], \
            tree i32[t,8], tile i32[a,9], op i32[o,3], leaf L[l,v], step i32[m], step_leaf i32[m], base L[k], \
            few i64, rank i32[b], columns X[4,b], codes u8[e], slots u8[f], sums L[k,b], reached u32[8], out L[n,k]
    """,
    "tree_quantizer": """
        category_answers: node i32[p], n_categories i32[p], threshold X[m], left_child i32[m], node_flags u8[m], \
            category_begin i32[c], category_words u32[w], begin i32[p], out u8[1,e]
        quantize_forest: left_child i32[m], word i32[m], tree_root i32[t], tree_target i32[t], n_leaves i32[m], \
            height i32[m], need i32[m], place i32[m], below i32[m], number i32[m], first_leaf i32[m], \
            waiting i32[1024], tree i32[e,8], tile i32[a,9], op i32[m,3], leaf_row i32[m], step i32[m], \
            step_leaf i32[m], out i64[2]
    """,
    "tree_symmetric": """
        oblivious_quantized: x f32[n,d], group i32[g,9], cuts f32[c,16], plane i32[p,2], sets i32[h,4], answer u8[w], \
            level i32[q], split_begin i64[e], leaf_begin i64[e], leaf_value f64[l,v], base f64[v], scale f64, few i64, \
            rank i32[b], columns f32[4,b], codes u8[s], numbers u8[f], sums f64[v,y], out f64[n,v]
    """,
    "linear": """
        matmul: x T[n,d], coef T[g,d,w], intercept T[k], relu i64, totals T[8,64], sums f64[8,64], out T[n,k]
        dot: x T[n,d], coef T[k,v,w], intercept T[k], totals T[8,64], sums f64[8,64], out T[n,k]
        linear_in_order: x f32[n,d], coef f32[k,d], intercept f32[k], out f32[n,k]
    """,
    "projection": """
        project: x T[n,d], mean T[d], components T[g,d,w], scale T[k], centered T[8,d], totals T[8,64], out T[n,k]
    """,
    "activation": """
        sigmoid: x T[n,k], scale f64, out T[n,k]
        softmax: x T[n,k], out T[n,k]
        sigmoid_stepwise: x f32[n,k], out f32[n,k]
        softmax_stepwise: x f32[n,k], out f32[n,k]
        exp: x T[n,k], out T[n,k]
        exp2: x T[n,k], scale f64, out T[n,k]
        log: x T[n,k], out T[n,k]
        softplus: x T[n,k], out T[n,k]
        tanh: x T[n,k], out T[n,k]
        relu: x T[n,k], out T[n,k]
        signed_square: x T[n,k], out T[n,k]
        normal_cdf: x T[n,k], out T[n,k]
        normal_quantile: x T[n,k], out T[n,k]
    """,
    "arithmetic": """
        combine: x T[n,k], y T[m,k], operation i64, out T[n,k]
        compare: x T[n,k], y T[m,k], relation i64, out T[n,k]
        choose: condition T[n,k], x T[p,k], y T[m,k], out T[n,k]
        apply: x T[n,k], function i64, out T[n,k]
        reduce: x T[n,d], operation i64, length i64, out T[n,k]
        take: x i64[n,k], table f64[m], out f64[n,k]
        pick: x T[n,d], index i64[n,k], out T[n,k]
        rank: x T[n,d], largest i64, out i64[n,k]
    """,
    "decision": """
        argmax: x T[n,k], out i64[n,1]
        argmin: x T[n,k], out i64[n,1]
        argmax_groups: x T[n,k], begin i64[e], out i64[n,g]
        above: x T[n,k], threshold f64, out i64[n,k]
        at_least: x T[n,k], threshold f64, out i64[n,k]
        complement: x T[n,1], out T[n,2]
        normalize_sum: x T[n,k], uniform i64, out T[n,k]
        lookup: x i64[n,d], table f64[m,k], out f64[n,k]
        weighted_median: x f64[n,d], weight f64[d], order i64[d], out f64[n,1]
        calibrate: x f64[n,k], slope f64[k], offset f64[k], out f64[n,k]
        interpolate: x f64[n,k], begin i64[e], knot f64[q], value f64[q], out f64[n,k]
        add: x T[n,k], y T[n,k], out T[n,k]
        affine: x T[n,k], factor f64[k], offset f64[k], out T[n,k]
        divide: x T[n,k], divisor f64[k], out T[n,k]
    """,
    "distance": """
        distances: x f64[n,d], points f64[m,d], packed f64[g,d,w], metric i64, p f64, totals f64[8,64], out f64[n,m]
        nearest: x f64[n,d], points f64[m,d], metric i64, p f64, center f64[d], reach f64, packed f32[g,e,w], \
            step f64, residual f64, offsets i32[h,16], byte_points u8[h,q,64], cell_offsets i32[c,16,4], \
            cell_points u8[c,16,y], narrow f32[b,e], square f64[b], limit f32[b], totals f32[8,64], codes u8[12,z], \
            lengths f64[12,3], cells i32[12,c,16], found i64[3,r], candidates i64[12,r], reduced f64[2,r], \
            index i64[n,k], out f64[n,k]
        closest: x X[n,d], points f64[m,d], center f64[d], reach f64, packed f32[g,e,w], \
            narrow f32[8,e], turned f32[d,32], square f32[32], slack f64[32], least f32[32], second f32[32], \
            number i32[32], totals f32[8,64], size X[n,1], out i64[n,1]
        nearest_in_tree: x f64[n,d], points f64[m,d], node_begin i64[g], node_end i64[g], node_leaf u8[g], \
            low f64[g,d], high f64[g,d], radius f64[g], ball i64, metric i64, p f64, waiting i64[s], bound f64[s], \
            index i64[n,k], out f64[n,k]
        vote_neighbors: index i64[n,k], distance f64[n,k], label i64[m], by_distance i64, out f64[n,c]
        average_neighbors: index i64[n,k], distance f64[n,k], target f64[m,v], by_distance i64, out f64[n,v]
    """,
    "naive_bayes": """
        gaussian_nb: x f64[n,d], normal f64[g,d,w], constant f64[k], totals f64[8,64], out f64[n,k]
        categorical_nb: x f64[n,d], begin i64[e], log_probability f64[q,k], log_prior f64[k], \
            problem i64[1], out f64[n,k]
    """,
    "svm": """
        svm_decision: x f64[n,d], support f64[g,d,w], dual_coef f64[j,m], intercept f64[p], class_begin i64[e], \
            kind i64, gamma f64, coef0 f64, degree i64, totals f64[8,64], similarity f64[8,m], out f64[n,p]
        svm_vote: x f64[n,p], out f64[n,c]
        svm_vote_rbf: x f64[n,d], support f64[g,d,w], dual_coef f64[1,m], intercept f64[1], class_begin i64[3], \
            gamma f64, center f64[d], scale f64, reach f64, packed f32[h,e,l], coef f32[h,l], \
            n_positive i64, total_size f64, narrow f32[8,e], half f64[8], within u8[8], products f32[8,64], \
            sums f32[8,32], waiting i64[8], undecided f64[8,d], totals f64[8,64], similarity f64[8,m], \
            decision f64[8,1], out f64[n,2]
        svm_ovr: x f64[n,p], out f64[n,c]
        svm_couple: x f64[n,p], prob_a f64[p], prob_b f64[p], pairwise f64[c,c], matrix f64[c,c], step f64[c], \
            out f64[n,c]
    """,
    "preprocess": """
        cast_f32: x f64[n,d], out f32[n,d]
        cast_f64: x f32[n,d], out f64[n,d]
        check_finite: x T[n,d], allow_nan i64, out i64[1]
        check_finite_by: x T[n,d], y T[n,k], out i64[1]
        check_within: x T[n,d], low T[d], high T[d], missing T[d], out i64[1]
        select: x T[n,d], columns i64[k], out T[n,k]
        place: x T[n,d], start i64, out T[n,k]
        scale: x T[n,d], mean f64[d], scale f64[d], out T[n,d]
        min_max: x T[n,d], scale f64[d], offset f64[d], low f64, high f64, out T[n,d]
        normalize: x T[n,d], norm i64, out T[n,d]
        binarize: x T[n,d], threshold f64, out T[n,d]
        impute: x T[n,d], missing f64, columns i64[j], fill f64[j], indicators i64[i], out T[n,k]
        encode: x T[n,d], begin i64[e], category f64[q], code f64[q], unknown f64, problem i64[1], out f64[n,d]
        one_hot: x T[n,d], begin i64[e], category f64[q], column i64[q], unknown i64[d], problem i64[1], out f64[n,k]
        polynomial: x T[n,d], begin i64[e], column i64[q], out T[n,k]
        power: x T[n,d], lambdas f64[d], method i64, out T[n,d]
        quantile: x T[n,d], quantiles f64[d,q], references f64[q], normal i64, out T[n,d]
        bins: x T[n,d], begin i64[e], edge f64[q], out T[n,d]
    """,
    "shap": """
        tree_shap: x X[n,d], tree i32[t,4], part i32[u,9], split_index i32[m], threshold X[m], node_flags u8[m], \
            category_begin i32[c], category_words u32[w], share f64[m], parent_slot i32[m], ancestor_slot i32[m], \
            repeat i32[m], kept f64[p], leaf_slot i32[l], leaf_value f64[l,v], point f64[q], weight f64[q], \
            columns X[d,8], left f64[8], gain f64[g], agrees f64[a], bent f64[h], carried f64[s], expected f64[s], \
            contribution f64[d,k,b,8], out f64[n,d,k]
        linear_shap: x T[n,d], coef f64[k,d], mean f64[d], missing i64, out f64[n,d,k]
    """,
}

_VARIANTS = ("f32", "f64")
_FOREST_VARIANTS = (("f32", "f32"), ("f32", "f64"), ("f64", "f64"))


@dataclass(frozen=True, slots=True)
class Argument:
    """`dims` are dimension letters or lengths; empty for a number."""

    name: str
    dtype: str
    dims: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Signature:
    """Kernel `name` is the function `body` of the module `family`, compiled for these arguments."""

    name: str
    family: str
    body: str
    arguments: tuple[Argument, ...]


_ARGUMENT = re.compile(r"(\w+) (\w+)(?:\[([\w,]+)\])?")


def _variants(name: str, dtypes: set[str]) -> Iterator[tuple[str, dict[str, str]]]:
    """Names of the kernel's variants, each with what the float widths T, X and L stand for in it."""
    if "L" in dtypes:
        yield from ((f"{name}_{x}_{leaf}", {"X": x, "L": leaf}) for x, leaf in _FOREST_VARIANTS)
    elif dtypes & {"T", "X"}:
        yield from ((f"{name}_{width}", {"T": width, "X": width}) for width in _VARIANTS)
    else:
        yield name, {}


def _parse(families: Mapping[str, str]) -> Iterator[Signature]:
    for family, lines in families.items():
        for line in filter(None, map(str.strip, lines.splitlines())):
            body, _, text = line.partition(": ")
            arguments = _ARGUMENT.findall(text)
            for name, widths in _variants(body, {dtype for _, dtype, _ in arguments}):
                yield Signature(
                    name,
                    family,
                    body,
                    tuple(
                        Argument(argument, widths.get(dtype, dtype), tuple(filter(None, dims.split(","))))
                        for argument, dtype, dims in arguments
                    ),
                )


KERNELS: dict[str, Signature] = {signature.name: signature for signature in _parse(_FAMILIES)}
