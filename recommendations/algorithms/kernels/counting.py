"""Rows of item-to-item counts, the best neighbours of each item kept."""

import numpy as np

from recommendations.algorithms.kernels.best import keep_best, sift_down
from recommendations.algorithms.kernels.compiling import compiled, prefetch

# Profiles ahead of the one that is counted: then its items are in the cache when its turn comes.
# Without, a log too large for the cache costs three times as much an addition as a small one.
AHEAD = 8
LINE = 16  # indices of 4 bytes that come with one


@compiled
def write_row(sums, touched, count, itself, column, row, scores, items, out_items, out_scores):  # type: ignore[no-untyped-def]
    """The best of the touched sums, best first; leaves all sums at zero."""
    size = 0
    for t in range(count):
        j = touched[t]
        score = sums[j] * column[j]
        sums[j] = 0
        if j != itself and (size < scores.size or score >= scores[0]):
            size = keep_best(scores, items, size, score, np.int32(j))
    while size > 0:
        size -= 1
        out_items[size] = items[0]
        out_scores[size] = scores[0] * row
        sift_down(scores, items, size, scores[size], items[size])


@compiled
def similar_rows(  # type: ignore[no-untyped-def]
    first,
    last,
    chosen,
    item_start,
    item_profile,
    item_weight,
    profile_start,
    profile_item,
    profile_weight,
    profile_scale,
    column,
    row,
    out_items,
    out_scores,
):
    """The chosen rows `first` to `last` of the symmetric product, best columns only.

    Sums have the type of `profile_scale`. Weights are both None where all are 1. Indices are
    unsigned, which spares a look at their sign.
    """
    last_pair = item_profile.size - 1
    sums = np.zeros(column.size, profile_scale.dtype)
    touched = np.empty(column.size + 1, np.uint32)
    scores = np.empty(out_items.shape[1], np.float64)
    items = np.empty(out_items.shape[1], np.int32)
    for r in range(first, last):
        i = chosen[r]
        count = 0
        for a in range(item_start[i], item_start[i + 1]):
            soon = profile_start[item_profile[min(a + AHEAD, last_pair)]]
            prefetch(profile_item, soon)
            prefetch(profile_item, soon + LINE)
            later = item_profile[min(a + 2 * AHEAD, last_pair)]
            prefetch(profile_start, later)
            prefetch(profile_scale, later)
            u = item_profile[a]
            scale = profile_scale[u]
            if item_weight is not None:
                scale = scale * item_weight[a]
            for b in range(profile_start[u], profile_start[u + 1]):
                j = profile_item[b]
                before = sums[j]
                touched[count] = j
                count += before == 0  # no branch: it would be guessed wrong half the time
                if profile_weight is None:
                    sums[j] = before + scale
                else:
                    sums[j] = before + scale * profile_weight[b]
        write_row(
            sums, touched, count, i, column, row[i], scores, items, out_items[r], out_scores[r]
        )


@compiled
def next_rows(  # type: ignore[no-untyped-def]
    first,
    last,
    chosen,
    item_start,
    positions,
    profile,
    item,
    ahead,
    behind,
    column,
    row,
    out_items,
    out_scores,
):
    """The chosen rows `first` to `last` of the directed counts, best columns only.

    No addition is 0.
    """
    sums = np.zeros(column.size, np.int64)
    touched = np.empty(column.size, np.int32)
    scores = np.empty(out_items.shape[1], np.float64)
    items = np.empty(out_items.shape[1], np.int32)
    for r in range(first, last):
        i = chosen[r]
        count = 0
        for a in range(item_start[i], item_start[i + 1]):
            soon = positions[min(a + AHEAD, positions.size - 1)]
            prefetch(profile, soon)
            prefetch(item, soon)
            p = positions[a]
            for q in range(p + 1, min(p + ahead.size, item.size - 1) + 1):
                if profile[q] != profile[p]:
                    break
                j = item[q]
                if sums[j] == 0:
                    touched[count] = j
                    count += 1
                sums[j] += ahead[q - p - 1]
            for q in range(p - 1, max(p - behind.size, 0) - 1, -1):
                if profile[q] != profile[p]:
                    break
                j = item[q]
                if sums[j] == 0:
                    touched[count] = j
                    count += 1
                sums[j] += behind[p - q - 1]
        write_row(
            sums, touched, count, i, column, row[i], scores, items, out_items[r], out_scores[r]
        )
