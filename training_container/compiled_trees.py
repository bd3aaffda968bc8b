"""An XGBoost model as flat arrays and compiled kernels, for one row many times faster than the Booster (bench trees).

Margins are XGBoost's to the last bit, whether for one row or many; contributions
are its exact ones (`pred_contribs`) but summed in float64. What is not supported is refused where the model is loaded.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import xgboost as xgb

from insights.feature_table import FEATURE_NAMES
from training_container import compiled_trees_kernels as kernels
from training_container.booster_trees import BoosterTrees
from training_container.compiled_trees_kernels import Forest
from training_container.errors import UnusableInput

Matrix = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float64]

QUANTILES: Final = "reg:quantileerror"
OBJECTIVES: Final = ("multi:softprob", "reg:squarederror", QUANTILES)
"""Those of the models and of the intervals; their base score is a margin."""

TOLERANCE: Final = 1e-5
"""Of a row's contributions added up without their signs (at least 1), for which XGBoost's float32 sums are good."""

_Node = tuple[float, float, int, int]
_Split = tuple[float, float, float, float, float, int, int, int, int, int, int, int, int]
# A leaf's threshold is NaN and its child the slot before it, so that every comparison leads to itself.
_NODE: Final = np.dtype([("threshold", "f4"), ("missing", "f4"), ("feature", "u4"), ("child", "i4")])
_TREE: Final = np.dtype([("first_node", "i4"), ("depth", "i4"), ("first_split", "i4"), ("splits", "i4")])
# One cache line: shares of cover of both children and of the split itself in the one above; the node again and its slot;
# the split above and the branch from there; the same of the last split on the same feature, counted from 1.
_SPLIT: Final = np.dtype(
    [
        *((name, "f8") for name in ("left", "right", "share")),
        *((name, "f4") for name in ("threshold", "missing")),
        *(
            (name, "i4")
            for name in ("feature", "child", "slot", "above", "branch", "earlier", "earlier_branch", "factors")
        ),
    ]
)


@dataclass(frozen=True, slots=True, eq=False)
class CompiledTrees:
    """`bias` (outputs,) is the expected margin of each output, to which a row's contributions add up to its margin."""

    forest: Forest
    bias: Floats

    @classmethod
    def of(cls, booster: xgb.Booster) -> CompiledTrees:
        """UnusableInput for trees that the kernels do not walk as XGBoost does; the message names the value."""
        learner = json.loads(booster.save_raw("json"))["learner"]
        _refuse_unsupported(learner)
        base = np.array(json.loads(learner["learner_model_param"]["base_score"]), np.float32)
        model = learner["gradient_booster"]["model"]
        compiling = _Compiling()
        first_trees, bias = [0], base.astype(np.float64)
        for output in range(len(base)):
            for number, (tree, its_output) in enumerate(zip(model["trees"], model["tree_info"], strict=True)):
                if its_output == output:
                    bias[output] += compiling.add(_checked(tree, number))
            first_trees.append(len(compiling.trees))
        return cls(compiling.forest(np.array(first_trees, np.int64), base), bias)

    @property
    def outputs(self) -> int:
        return len(self.bias)

    def margins(self, rows: Matrix) -> Matrix:
        """(n, outputs) of (n, 25) rows with NaN for an unknown value; to the last bit XGBoost's."""
        out = np.empty((len(rows), self.outputs), np.float32)
        kernels.margins(self.forest, _rows(rows), out)
        return out

    def contributions(self, rows: Matrix, outputs: npt.NDArray[np.int64]) -> Floats:
        """(n, 25): the path-dependent TreeSHAP values of each row for its own one of `outputs` (n,)."""
        out = np.empty((len(rows), len(FEATURE_NAMES)))
        kernels.contributions(self.forest, _rows(rows), np.ascontiguousarray(outputs, np.int64), out)
        return out

    def difference(self, booster: BoosterTrees, rows: Matrix) -> str:
        """Empty where margins, contributions and bias are the booster's within TOLERANCE, else the first that is not."""
        shap = booster.explained(rows)
        wanted = np.append(booster.margins(rows)[:, :, np.newaxis], shap, axis=2)
        found = np.empty_like(wanted, np.float64)
        found[:, :, 0], found[:, :, -1] = self.margins(rows), self.bias
        for output in range(self.outputs):
            found[:, output, 1:-1] = self.contributions(rows, np.full(len(rows), output))
        tolerance = TOLERANCE * np.maximum(np.abs(shap).sum(axis=2, keepdims=True), 1.0)
        differing = np.argwhere(~(np.abs(found - wanted) <= tolerance))
        if len(differing) == 0:
            return ""
        row, output, column = differing[0]
        name = ("margin", *(f"contribution of {feature}" for feature in FEATURE_NAMES), "bias")[column]
        said, meant = found[row, output, column], wanted[row, output, column]
        return f"row {row + 1}: {name}, output {output}, is {said:.7g} compiled and {meant:.7g} in XGBoost"


def _rows(rows: Matrix) -> Matrix:
    """As the kernels were compiled for: another shape would be read beyond its end, another type compiled for anew."""
    if rows.ndim != 2 or rows.shape[1] != len(FEATURE_NAMES):
        raise ValueError(f"rows have the shape {rows.shape}, but (n, {len(FEATURE_NAMES)}) is needed")
    plain = np.ascontiguousarray(rows, np.float32)
    return plain if plain.flags.writeable else plain.copy()


def _refuse_unsupported(learner: Mapping[str, Any]) -> None:
    booster, parameters = learner["gradient_booster"]["name"], learner["learner_model_param"]
    if booster != "gbtree":
        raise UnusableInput(f"the model's booster is {booster!r}; only gbtree is served, train again with it")
    objective = learner["objective"]["name"]
    if objective not in OBJECTIVES:
        raise UnusableInput(f"the model's objective is {objective!r}; served are {', '.join(OBJECTIVES)}")
    if int(parameters["num_target"]) != 1 and objective != QUANTILES:
        raise UnusableInput(f"the model has {parameters['num_target']} targets; one is served, train a model for each")
    if int(parameters["num_feature"]) != len(FEATURE_NAMES):
        raise UnusableInput(
            f"the model takes {parameters['num_feature']} features; the feature table has {len(FEATURE_NAMES)}"
        )


def _checked(tree: Mapping[str, Any], number: int) -> Mapping[str, Any]:
    if int(tree["tree_param"]["size_leaf_vector"]) > 1:
        raise UnusableInput(
            f"tree {number} has leaves of {tree['tree_param']['size_leaf_vector']} values; one is served"
        )
    if any(tree["split_type"]):
        node = next(i for i, kind in enumerate(tree["split_type"]) if kind)
        raise UnusableInput(
            f"tree {number} splits at node {node} by categories of {_name(tree['split_indices'][node])}; "
            "every feature is a number, train without enable_categorical"
        )
    return tree


def _name(feature: int) -> str:
    return FEATURE_NAMES[feature] if feature < len(FEATURE_NAMES) else f"feature {feature}"


class _Compiling:
    """The arrays as they grow, tree by tree."""

    def __init__(self) -> None:
        self.trees: list[tuple[int, int, int, int]] = []
        self._nodes: list[_Node] = []
        self._values: list[float] = []
        self._splits: list[_Split] = []
        self._earlier_shares: list[float] = []
        self._most_features = 1

    def add(self, tree: Mapping[str, Any]) -> float:
        """Appends the tree; returns the value that it expects."""
        order, depth = _by_level(tree)
        nodes, leaf = list(_nodes(tree, order)), tree["left_children"]
        values = [tree["split_conditions"][n] if leaf[n] < 0 else 0.0 for n in order]
        splits = list(self._tree_splits(nodes, [tree["sum_hessian"][n] for n in order]))
        self.trees.append((len(self._nodes), depth, len(self._splits), len(splits)))
        self._nodes.extend(nodes)
        self._values.extend(values)
        self._splits.extend(splits)
        for left, right, _, _, _, _, child, slot, *_ in reversed(splits):
            values[slot] = left * values[child] + right * values[child + 1]
        return values[0]

    def _tree_splits(self, nodes: Sequence[_Node], covers: Sequence[float]) -> Iterator[_Split]:
        """_SPLIT of every split, level by level; `path` is what lies above a slot."""
        path: dict[int, _Path] = {0: _Path({}, 0, kernels.LEFT, 1.0)}
        number = 0  # of the split, counted from 1 as `earlier` is
        for slot, (threshold, missing, feature, child) in enumerate(nodes):
            above = path.pop(slot)
            if math.isnan(threshold):
                self._most_features = max(self._most_features, len(above.on_feature))
                continue
            left, right = covers[child] / covers[slot], covers[child + 1] / covers[slot]
            earlier, earlier_branch, share = above.on_feature.get(feature, (0, kernels.LEFT, 1.0))
            factors = kernels.ALONE
            if earlier:
                self._earlier_shares.append(share)
                factors = kernels.ABSENT + len(self._earlier_shares)
            here = (left, right, above.share, threshold, missing, feature, child, slot)
            yield *here, above.split, above.branch, earlier, earlier_branch, factors
            number += 1
            for branch, below, cover in ((kernels.LEFT, child, left), (kernels.RIGHT, child + 1, right)):
                on_feature = {**above.on_feature, feature: (number, branch, share * cover)}
                path[below] = _Path(on_feature, number - 1, branch, cover)

    def forest(self, first_trees: npt.NDArray[np.int64], base: npt.NDArray[np.float32]) -> Forest:
        nodes, weights = _quadrature(self._most_features)
        absent, scale = _factors(np.array(self._earlier_shares), nodes)
        return Forest(
            nodes=np.array(self._nodes, _NODE),
            base=base,
            values=np.array(self._values, np.float32),
            trees=np.array(self.trees, _TREE),
            first_trees=first_trees,
            splits=np.array(self._splits, _SPLIT),
            absent=absent,
            scale=scale,
            weights=weights,
            most_splits=max((splits for *_, splits in self.trees), default=0),
        )


class _Path(NamedTuple):
    """Above a node: the last split on each feature (counted from 1), the branch from it and the share of cover that all
    splits on the feature left; the split directly above, the branch from it and its share."""

    on_feature: dict[int, tuple[int, int, float]]
    split: int
    branch: int
    share: float


def _by_level(tree: Mapping[str, Any]) -> tuple[list[int], int]:
    """The tree's nodes from the root down, siblings side by side (what pruning deleted is not there), and its depth."""
    order, level, depth = [0], [0], 0
    while level := [c for n in level for c in (tree["left_children"][n], tree["right_children"][n]) if c >= 0]:
        order, depth = order + level, depth + 1
    return order, depth


def _nodes(tree: Mapping[str, Any], order: Sequence[int]) -> Iterator[_Node]:
    """_NODE of every slot."""
    child = 1
    for slot, node in enumerate(order):
        if tree["left_children"][node] < 0:
            yield math.nan, 0.0, 0, slot - 1
            continue
        threshold, cover = tree["split_conditions"][node], tree["sum_hessian"][node]
        if not math.isfinite(threshold) or not cover > 0.0:
            raise UnusableInput(
                f"a tree splits {_name(tree['split_indices'][node])} at {threshold} where the cover (sum_hessian) is {cover}; "
                "an explanation needs a finite threshold and some cover, train with min_child_weight of 1 or more"
            )
        yield threshold, -math.inf if tree["default_left"][node] else math.inf, tree["split_indices"][node], child
        child += 2


def _quadrature(features: int) -> tuple[Floats, Floats]:
    """Gauss-Legendre nodes in (0, 1) and weights, exact for a path of so many features, as many fours as it takes."""
    needed = -(-features // 2)
    nodes, weights = np.polynomial.legendre.leggauss(-(-needed // kernels.LANES) * kernels.LANES)
    return (nodes + 1.0) / 2.0, weights / 2.0


def _factors(shares: Floats, nodes: Floats) -> tuple[Floats, Floats]:
    """r and a / f^2 of the kernels' docstring, flat from [four of nodes][row][node]: rows ALONE, ABSENT, one per share."""
    a = np.concatenate([[1.0, 1.0], shares])[:, np.newaxis]
    f = nodes + (1.0 - nodes) * a
    absent, scale = (1.0 - nodes) * a / f, a / f**2
    absent[kernels.ABSENT], scale[kernels.ABSENT] = 1.0, 0.0
    return _in_fours(absent), _in_fours(scale)


def _in_fours(rows: Floats) -> Floats:
    fours: Floats = rows.reshape(len(rows), -1, kernels.LANES).transpose(1, 0, 2).ravel()
    return fours


def warm_up() -> None:
    """Compiles (or loads from the cache) every kernel of a model, so that no start of a server pays for it."""
    rows = np.zeros((2, len(FEATURE_NAMES)), np.float32)
    rows[1] = 1.0
    settings = {"objective": "reg:squarederror", "min_child_weight": 0, "nthread": 1}
    trees = CompiledTrees.of(xgb.train(settings, xgb.DMatrix(rows, label=[0.0, 1.0], nthread=1), num_boost_round=1))
    trees.margins(rows)
    kernels.strongest(trees.contributions(rows, np.zeros(2, np.int64)), np.empty((2, 1), np.int64))
    kernels.explained(trees.forest, rows, np.empty((2, 1 + 3)))
