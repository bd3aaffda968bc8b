"""The compiled part of the trees: margins, exact path-dependent TreeSHAP contributions, and the strongest of them.

A feature's Shapley value is the integral over t in [0, 1] of what its presence adds where every other feature is present
with probability t (Owen 1972, Multilinear extensions of games). In a tree an absent feature sends a row both ways, in
proportion to the training rows ("path dependent": Lundberg et al. 2018, and 2020, Algorithm 2). At a split let

    P(child), M   the value expected below a child; z_left P(left) + z_right P(right), z the children's shares of cover
    D             how probably the row reaches the split by the features above it
    a, f, r       the share of cover that earlier splits on the same feature left of the path (1 without any);
                  t + (1 - t) a; (1 - t) a / f, the probability that the feature is absent where the split is reached

then P = P(row's branch) - r (P(row's branch) - M), and the split adds a / f^2 D (P(row's branch) - M) to its feature's
value: that is the difference of the usual terms of its two edges and of the earlier edge which they replace, (o - z) / (t
o + (1 - t) z) each, with the subtractions done by hand. Where the row took another way at an earlier split on the same
feature, r = 1 and nothing is added. All of it is a polynomial in t of a lower degree than a path has distinct features,
which Gauss-Legendre quadrature with half as many nodes integrates exactly: two sweeps over the splits, where the classic
algorithm walks to each leaf. (Sums that go upwards once: Yu et al. 2022, Linear TreeSHAP, which interpolates instead.)
Only numbers in [0, 1] are multiplied and f is at least t, so neither a tiny nor a zero share of cover does harm.

Quadrature nodes come in fours, which fit one register; the sweeps go level by level, so that neighbours in time do not
wait for each other. All kernels stand in this one file: numba's cache notices a change of the file that holds the
outermost one.
"""

from __future__ import annotations

import math
from typing import Any, Final, NamedTuple

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from insights.compiled import compiled

LANES: Final = 4
LEFT, RIGHT, OFF_PATH = 1, 2, 0  # what a row does at a split; OFF_PATH as the module's docstring says
ALONE, ABSENT = 0, 1  # rows of `absent` and `scale`: no earlier split on the feature, and OFF_PATH
BLOCK: Final = 64  # rows for which a tree is walked before the next is fetched


class Forest(NamedTuple):
    """Trees stand output by output, their nodes level by level with siblings side by side (compiled_trees has the dtypes)."""

    nodes: Any
    values: Any
    trees: Any
    first_trees: Any
    base: Any
    splits: Any
    absent: Any
    scale: Any
    weights: Any
    most_splits: int


_QUAD = types.UniTuple(types.float64, LANES)
_REGISTER = ir.VectorType(ir.DoubleType(), LANES)


@intrinsic  # type: ignore[untyped-decorator]
def load(typingctx: Any, array: Any, place: Any) -> Any:
    """The quad at a place, which counts quads, of a one-dimensional float64 array."""

    def generate(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        register = builder.load(_pointer(context, builder, signature, given), align=8)
        return _quad(context, builder, register)

    return _QUAD(array, types.intp), generate


@intrinsic  # type: ignore[untyped-decorator]
def store(typingctx: Any, array: Any, place: Any, quad: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        builder.store(_register(builder, given[2]), _pointer(context, builder, signature, given), align=8)
        return context.get_dummy_value()

    return types.void(array, types.intp, _QUAD), generate


@intrinsic  # type: ignore[untyped-decorator]
def every(typingctx: Any, number: Any) -> Any:
    """The quad of one number."""

    def generate(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        return context.make_tuple(builder, _QUAD, [given[0]] * LANES)

    return _QUAD(types.float64), generate


def _arithmetic(operation: str) -> Any:
    @intrinsic  # type: ignore[untyped-decorator]
    def lane_by_lane(typingctx: Any, left: Any, right: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, given: Any) -> Any:
            registers = (_register(builder, quad) for quad in given)
            # "contract": a product and a sum may become one instruction with one rounding
            return _quad(context, builder, getattr(builder, operation)(*registers, flags=["contract"]))

        return _QUAD(_QUAD, _QUAD), generate

    return lane_by_lane


plus, minus, times = _arithmetic("fadd"), _arithmetic("fsub"), _arithmetic("fmul")


def _pointer(context: Any, builder: Any, signature: Any, given: Any) -> Any:
    data = context.make_array(signature.args[0])(context, builder, given[0]).data
    first = builder.gep(data, [builder.mul(given[1], ir.Constant(given[1].type, LANES))])
    return builder.bitcast(first, _REGISTER.as_pointer())


def _register(builder: Any, quad: Any) -> Any:
    register = ir.Constant(_REGISTER, ir.Undefined)
    for lane in range(LANES):
        register = builder.insert_element(register, builder.extract_value(quad, lane), _lane(lane))
    return register


def _quad(context: Any, builder: Any, register: Any) -> Any:
    return context.make_tuple(builder, _QUAD, [builder.extract_element(register, _lane(lane)) for lane in range(LANES)])


def _lane(number: int) -> Any:
    return ir.Constant(ir.IntType(32), number)


@compiled
def goes_right(value, node):  # type: ignore[no-untyped-def]
    """0 or 1: XGBoost's `not value < threshold`, with -inf or inf in place of NaN."""
    return np.int64(not (node.missing if math.isnan(value) else value) < node.threshold)


@compiled
def margins(forest, rows, out):  # type: ignore[no-untyped-def]
    """out[i, k] of rows[i] and output k; added in float32 and in XGBoost's order, so that no bit differs from it."""
    nodes, values, trees, first_trees, base = forest.nodes, forest.values, forest.trees, forest.first_trees, forest.base
    for begin in range(0, len(rows), BLOCK):
        end = min(begin + BLOCK, len(rows))
        for output in range(len(base)):
            for i in range(begin, end):
                out[i, output] = base[output]
            for number in range(first_trees[output], first_trees[output + 1]):
                first, depth = trees[number].first_node, trees[number].depth
                for i in range(begin, end):
                    slot = 0
                    for _ in range(depth):  # a leaf leads to itself: no branch to predict
                        node = nodes[np.uint64(first + slot)]
                        slot = node.child + goes_right(rows[i, node.feature], node)
                    out[i, output] += values[first + slot]


@compiled
def contributions(forest, rows, outputs, out):  # type: ignore[no-untyped-def]
    """out[i, feature]: what each feature of rows[i] adds to its margin of output outputs[i]."""
    values, trees, first_trees = forest.values, forest.trees, forest.first_trees
    splits, absent, scale, weights, most = (
        forest.splits,
        forest.absent,
        forest.scale,
        forest.weights,
        forest.most_splits,
    )
    # In front of `turned` stands the branch that a feature's first split on a path goes on from.
    turned, used = np.empty(most + 1, np.int8), np.empty(most, np.int32)
    reach, expected = np.empty(most * LANES), np.empty((2 * most + 1) * LANES)
    row_size, part_size = rows.shape[1] * LANES, len(absent) * LANES // len(weights)
    sums = np.zeros(len(rows) * row_size)
    turned[0] = LEFT
    for output in range(len(first_trees) - 1):
        for number in range(first_trees[output], first_trees[output + 1]):
            tree = trees[number]
            own = splits[tree.first_split : tree.first_split + tree.splits]
            fill(values, tree.first_node, tree.splits, expected)
            for i in range(len(rows)):
                if outputs[i] == output and tree.splits > 0:
                    turn(own, rows[i], turned, used)
                    row_sums = sums[i * row_size : (i + 1) * row_size]
                    for part in range(len(weights) // LANES):
                        absences, scales = absent[part * part_size :], scale[part * part_size :]
                        descend(own, absences, load(weights, part), turned, used, reach)
                        ascend(own, absences, scales, turned, used, reach, expected, row_sums)
    for i in range(len(rows)):
        for feature in range(rows.shape[1]):
            place = i * row_size + feature * LANES
            out[i, feature] = sums[place] + sums[place + 1] + sums[place + 2] + sums[place + 3]


@compiled
def fill(values, first, count, expected):  # type: ignore[no-untyped-def]
    """P of a tree's leaves; the places of its splits are overwritten before they are read."""
    for slot in range(2 * count + 1):
        store(expected, slot, every(values[first + slot]))


@compiled
def turn(splits, row, turned, used):  # type: ignore[no-untyped-def]
    """What the row does at each split of a tree, and which row of `absent` and `scale` holds there."""
    for k in range(len(splits)):
        split = splits[k]
        on_path = turned[split.earlier] == split.earlier_branch
        turned[k + 1] = on_path * (LEFT + goes_right(row[split.feature], split))
        used[k] = split.factors if on_path else ABSENT


@compiled
def descend(splits, absent, weights, turned, used, reach):  # type: ignore[no-untyped-def]
    """D of each split, times the quadrature's weights."""
    store(reach, 0, weights)
    for k in range(1, len(splits)):
        split = splits[k]
        present = 1.0 if turned[split.above + 1] == split.branch else 0.0
        factor = plus(every(present), times(load(absent, used[split.above]), every(split.share - present)))
        store(reach, k, times(load(reach, split.above), factor))


@compiled
def ascend(splits, absent, scale, turned, used, reach, expected, sums):  # type: ignore[no-untyped-def]
    """P of the splits, from the deepest up, and what each adds to its feature."""
    for k in range(len(splits) - 1, -1, -1):
        split = splits[k]
        left, right = load(expected, split.child), load(expected, split.child + 1)
        own = load(expected, split.child + (turned[k + 1] == RIGHT))
        gained = minus(own, plus(times(every(split.left), left), times(every(split.right), right)))
        store(expected, split.slot, minus(own, times(load(absent, used[k]), gained)))
        added = times(times(load(scale, used[k]), load(reach, k)), gained)
        store(sums, split.feature, plus(load(sums, split.feature), added))


@compiled
def strongest(values, out):  # type: ignore[no-untyped-def]
    """out[i] = columns of the values of row i that are farthest from 0, farthest first; of equals the first."""
    for i in range(len(values)):
        left = np.abs(values[i])
        for k in range(out.shape[1]):
            out[i, k] = np.argmax(left)
            left[out[i, k]] = -1.0


@compiled
def explained(forest, rows, out):  # type: ignore[no-untyped-def]
    """All that an answer needs in one call, since a call costs what some trees do.

    out[i] = the margins of rows[i], then the strongest features of its highest margin, farthest from 0 first, as many as
    there is room for: place in the table, value, contribution.
    """
    outputs, found = np.empty(len(rows), np.int64), np.empty((len(rows), len(forest.base)), np.float32)
    margins(forest, rows, found)
    for i in range(len(rows)):
        outputs[i] = np.argmax(found[i])
    values = np.empty((len(rows), rows.shape[1]))
    contributions(forest, rows, outputs, values)
    places = np.empty((len(rows), (out.shape[1] - found.shape[1]) // 3), np.int64)
    strongest(values, places)
    for i in range(len(rows)):
        out[i, : found.shape[1]] = found[i]
        for k in range(places.shape[1]):
            place, at = places[i, k], found.shape[1] + 3 * k
            out[i, at], out[i, at + 1], out[i, at + 2] = place, rows[i, place], values[i, place]
