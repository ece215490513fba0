"""The hot loops, compiled by numba. Each has a numpy twin beside its caller with the same bits.

The modules around it import this on first use only, by `correlation.find_kernels`: importing numba
takes half a second, and without numba the twins do the work.
"""

from recommendations.algorithms.kernels.counting import next_rows, similar_rows
from recommendations.algorithms.kernels.ranking import rank_profiles
from recommendations.algorithms.kernels.trees import walk_trees
from recommendations.algorithms.kernels.visits import score_visits
from recommendations.algorithms.kernels.wanting import want

__all__ = ["next_rows", "rank_profiles", "score_visits", "similar_rows", "walk_trees", "want"]
