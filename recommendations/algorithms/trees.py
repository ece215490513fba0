"""Boosted trees as plain arrays: what was learned, without the library that learned it.

A probability is ``1 / (1 + exp(-(baseline + sum over trees of the leaf's value)))``, added up in
the order of the trees, so that it is bit for bit that of scikit-learn.
"""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from recommendations.algorithms.correlation import find_kernels

LEAF: Final = -1
Float64s = NDArray[np.float64]


class Trees(NamedTuple):
    """All nodes of all trees, end to end.

    Attributes
    ----------
    roots : ndarray of shape (n_trees,), dtype int32
        The first node of each tree.
    feature : ndarray of shape (n_nodes,), dtype int32
        The column a node looks at; -1 for a leaf.
    threshold : ndarray of shape (n_nodes,), dtype float64
        Values up to it go to the left.
    missing_left : ndarray of shape (n_nodes,), dtype uint8
        1 where a missing value (NaN) goes to the left.
    left, right : ndarrays of shape (n_nodes,), dtype int32
        The next nodes, always further down; of a leaf itself.
    value : ndarray of shape (n_nodes,), dtype float64, unit: log-odds
    gain : ndarray of shape (n_nodes,), dtype float64
        How much a node's question explained.
    baseline : ndarray of shape (1,), dtype float64, unit: log-odds
    """

    roots: NDArray[np.int32]
    feature: NDArray[np.int32]
    threshold: Float64s
    missing_left: NDArray[np.uint8]
    left: NDArray[np.int32]
    right: NDArray[np.int32]
    value: Float64s
    gain: Float64s
    baseline: Float64s


# As `artifact` keeps them: dtype and shape in names of sizes.
KINDS: Final[Mapping[str, tuple[str, tuple[str, ...]]]] = {
    "roots": ("<i4", ("trees",)),
    "feature": ("<i4", ("nodes",)),
    "threshold": ("<f8", ("nodes",)),
    "missing_left": ("|u1", ("nodes",)),
    "left": ("<i4", ("nodes",)),
    "right": ("<i4", ("nodes",)),
    "value": ("<f8", ("nodes",)),
    "gain": ("<f8", ("nodes",)),
    "baseline": ("<f8", ("one",)),
}


def check(trees: Trees, *, n_features: int) -> None:
    """Whoever walks the trees trusts these numbers.

    Raises
    ------
    ValueError
        Where a walk would leave the arrays or never end.
    """
    own = np.arange(trees.feature.size)
    inner = trees.feature != LEAF
    if trees.baseline.size != 1:
        raise ValueError("there is not one baseline")
    if trees.roots.size and not 0 <= trees.roots.min() <= trees.roots.max() < own.size:
        raise ValueError("roots name nodes that do not exist")
    if (trees.feature < LEAF).any() or (trees.feature >= n_features).any():
        raise ValueError("feature names columns that do not exist")
    for name in ("left", "right"):
        to = getattr(trees, name)
        if (to[inner] <= own[inner]).any() or (to >= own.size).any() or (to < 0).any():
            raise ValueError(f"{name} does not lead down")
    if not (np.isfinite(trees.value).all() and np.isfinite(trees.baseline).all()):
        raise ValueError("value is not a number everywhere")


def probabilities(trees: Trees, table: Float64s, *, use_numba: bool = True) -> Float64s:
    """How likely each row is of the second class.

    Parameters
    ----------
    trees : Trees
    table : ndarray of shape (n, n_features), dtype float64
        NaN where a value is missing.
    use_numba : bool
        The numpy twin adds the same numbers in the same order.

    Returns
    -------
    ndarray of shape (n,), dtype float64, 0 to 1

    Source: Friedman (2001), "Greedy Function Approximation: A Gradient Boosting Machine".
    """
    kernels = find_kernels() if use_numba else None
    if kernels is None:
        sums = walk_in_numpy(trees, table)
    else:
        arrays: tuple[Any, ...] = (
            trees.roots, trees.feature, trees.threshold, trees.missing_left, trees.left,
            trees.right, trees.value,
        )  # fmt: skip
        sums = kernels.walk_trees(*arrays, float(trees.baseline[0]), np.ascontiguousarray(table))
    found: Float64s = expit(sums)
    return found


def walk_in_numpy(trees: Trees, table: Float64s) -> Float64s:
    """The twin of the compiled loop: all rows go down one tree after the other."""
    rows = np.arange(len(table))
    sums = np.full(len(table), trees.baseline[0])
    for root in trees.roots:
        node = np.full(len(table), root)
        while (inner := trees.feature[node] != LEAF).any():
            at = node[inner]
            cell = table[rows[inner], trees.feature[at]]
            missing = np.isnan(cell)
            to_left = np.where(missing, trees.missing_left[at] == 1, cell <= trees.threshold[at])
            node[inner] = np.where(to_left, trees.left[at], trees.right[at])
        sums += trees.value[node]
    return sums
