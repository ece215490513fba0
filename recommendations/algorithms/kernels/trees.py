"""Where rows of a table end in decision trees."""

import numpy as np

from recommendations.algorithms.kernels.compiling import compiled


@compiled
def walk_trees(roots, feature, threshold, missing_left, left, right, value, baseline, table):  # type: ignore[no-untyped-def]
    """The sum of the leaves that each row of the table comes to, tree after tree."""
    sums = np.empty(table.shape[0])
    for row in range(table.shape[0]):
        found = baseline
        for root in roots:
            node = root
            while feature[node] >= 0:
                cell = table[row, feature[node]]
                to_left = missing_left[node] == 1 if np.isnan(cell) else cell <= threshold[node]
                node = left[node] if to_left else right[node]
            found += value[node]
        sums[row] = found
    return sums
