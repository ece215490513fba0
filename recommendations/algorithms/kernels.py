"""The hot loops, compiled by numba. Each has a numpy twin beside its caller with the same bits.

The modules beside it import this on first use only, by `correlation.find_kernels`: importing numba
takes half a second, and without numba the twins do the work.
"""

from collections.abc import Callable
from typing import Any

import numba
import numpy as np


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile on first call and keep the machine code on disk, where there is a place for it."""
    try:
        return numba.njit(cache=True, nogil=True, error_model="numpy")(function)
    except RuntimeError:  # neither NUMBA_CACHE_DIR nor the code's folder can be written
        return numba.njit(nogil=True, error_model="numpy")(function)


@compiled
def worse(score, item, other_score, other_item):  # type: ignore[no-untyped-def]
    """Whether the first ranks below the other: lower score, or same score and later item."""
    return score < other_score or (score == other_score and item > other_item)


@compiled
def sift_down(scores, items, size, score, item):  # type: ignore[no-untyped-def]
    """Put a pair in the place of the root of a heap whose root is the worst."""
    at = 0
    child = 1
    while child < size:
        if child + 1 < size and worse(
            scores[child + 1], items[child + 1], scores[child], items[child]
        ):
            child += 1
        if not worse(scores[child], items[child], score, item):
            break
        scores[at], items[at] = scores[child], items[child]
        at = child
        child = 2 * at + 1
    scores[at], items[at] = score, item


@compiled
def keep_best(scores, items, size, score, item):  # type: ignore[no-untyped-def]
    """Offer one candidate to the heap of the best; the new size."""
    if size < scores.size:
        at = size
        while at > 0:
            parent = (at - 1) // 2
            if not worse(score, item, scores[parent], items[parent]):
                break
            scores[at], items[at] = scores[parent], items[parent]
            at = parent
        scores[at], items[at] = score, item
        return size + 1
    if worse(scores[0], items[0], score, item):
        sift_down(scores, items, size, score, item)
    return size


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
    sums = np.zeros(column.size, profile_scale.dtype)
    touched = np.empty(column.size + 1, np.uint32)
    scores = np.empty(out_items.shape[1], np.float64)
    items = np.empty(out_items.shape[1], np.int32)
    for r in range(first, last):
        i = chosen[r]
        count = 0
        for a in range(item_start[i], item_start[i + 1]):
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


@compiled
def insert(items, scores, size, groups, item, score):  # type: ignore[no-untyped-def]
    """Put a candidate into a list of the best, one per group, best first; the new size."""
    group = groups[item]
    at = -1  # the member of its group that it would replace
    if group >= 0:
        for r in range(size):
            if groups[items[r]] == group:
                at = r
                break
    if at >= 0:
        if not worse(scores[at], items[at], score, item):
            return size
    elif size < items.size:
        at = size
        size += 1
    else:
        at = size - 1
    while at > 0 and worse(scores[at - 1], items[at - 1], score, item):
        scores[at], items[at] = scores[at - 1], items[at - 1]
        at -= 1
    scores[at], items[at] = score, item
    return size


@compiled
def row_of(lists, newer, where, item):  # type: ignore[no-untyped-def]
    """The row of an item: the one that was made anew, where there is one."""
    if where.size > 0 and where[item] >= 0:
        return newer[where[item]]
    return lists[item]


@compiled
def add_up(neighbours, strength, newer, stronger, where, recent, fading, sums):  # type: ignore[no-untyped-def]
    """Add what each recent item says, the newest loudest, to the sums of its neighbours."""
    factor = np.float32(1.0)
    for k in range(recent.size):
        row = row_of(neighbours, newer, where, recent[k])
        values = row_of(strength, stronger, where, recent[k])
        for c in range(row.size):
            j = row[c]
            if j < 0:
                break
            sums[j] += factor * values[c]
        factor *= fading


@compiled
def take_best(neighbours, newer, where, recent, groups, sums, items, scores):  # type: ignore[no-untyped-def]
    """Fill `items` and `scores` from the sums, which are zero afterwards; how many were found."""
    n = items.size
    size = 0
    lowest = np.float32(0.0)
    for k in range(recent.size):
        row = row_of(neighbours, newer, where, recent[k])
        for c in range(row.size):
            j = row[c]
            if j < 0:
                break
            score = sums[j]
            if score > 0:
                sums[j] = 0
                if score >= lowest and groups[j] >= -1:
                    if size == n and worse(score, j, scores[n - 1], items[n - 1]):
                        continue
                    size = insert(items, scores, size, groups, j, score)
                    if size == n:
                        lowest = scores[n - 1]
    return size


@compiled
def find_loudest(  # type: ignore[no-untyped-def]
    neighbours,
    strength,
    newer,
    stronger,
    where,
    recent,
    fading,
    sums,
    items,
    shares,
    because,
    places,
):
    """Which of the recent items speaks loudest for each pick, and where: the newest of equals.

    Rows fall, so a row is left where it cannot speak louder for any pick. `sums` is zero before
    and after; in between it says where each pick stands.
    """
    for r in range(items.size):
        sums[items[r]] = -r - 1
        shares[r] = 0
    quietest = np.float32(0.0)
    factor = np.float32(1.0)
    for k in range(recent.size):
        row = row_of(neighbours, newer, where, recent[k])
        values = row_of(strength, stronger, where, recent[k])
        for c in range(row.size):
            j = row[c]
            share = factor * values[c]
            if j < 0 or share <= quietest:
                break
            if sums[j] < 0:
                r = int(-sums[j]) - 1
                if share > shares[r]:
                    because[r] = k
                    places[r] = c
                    shares[r] = share
                    quietest = shares.min()
        factor *= fading
    for r in range(items.size):
        sums[items[r]] = 0


@compiled
def rank_profiles(  # type: ignore[no-untyped-def]
    neighbours,
    strength,
    newer,
    stronger,
    where,
    bounds,
    items_of,
    fading,
    groups,
    n,
    sums,
):
    """Items, scores, loudest recent item and place in its row; leaves `sums` at zero."""
    profiles = bounds.shape[0]
    out_items = np.full((profiles, n), -1, np.int32)
    out_scores = np.zeros((profiles, n), np.float32)
    out_because = np.full((profiles, n), -1, np.int32)
    out_places = np.full((profiles, n), -1, np.int32)
    shares = np.empty(n, np.float32)
    for u in range(profiles):
        recent = items_of[bounds[u, 0] : bounds[u, 1]]
        blocked = items_of[bounds[u, 1] : bounds[u, 2]]
        sums[blocked] = -np.inf
        add_up(neighbours, strength, newer, stronger, where, recent, fading, sums)
        size = take_best(
            neighbours, newer, where, recent, groups, sums, out_items[u], out_scores[u]
        )
        sums[blocked] = 0
        found = out_items[u, :size]
        find_loudest(
            neighbours, strength, newer, stronger, where, recent, fading, sums, found,
            shares[:size], out_because[u], out_places[u],
        )  # fmt: skip
    return out_items, out_scores, out_because, out_places


@compiled
def want(  # type: ignore[no-untyped-def]
    profile,
    item,
    column,
    decay,
    most_touches,
    touched,
    recent,
    places,
    loudest,
    scores,
    because,
):
    """Add touches, the newest first, to the scores of their profiles for one item."""
    for r in range(profile.size):
        u = profile[r]
        if touched[u] >= most_touches:
            continue
        touched[u] += 1
        i = item[r]
        k = places[u]
        new = i >= 0 and k < recent.shape[1]
        for q in range(k):
            if recent[u, q] == i:
                new = False
                break
        if new:
            recent[u, k] = i
            places[u] = k + 1
            share = decay[k] * column[i]
            scores[u] += share
            if share > loudest[u]:
                loudest[u] = share
                because[u] = i


@compiled
def score_visits(  # type: ignore[no-untyped-def]
    recent,
    bounds,
    items,
    weight,
    item_bounds,
    visit,
    step,
    rarity,
    worth,
    fading,
    agreement,
    reach,
    neighbours,
):
    """What the steps of the visits most like a history add up to, for each item."""
    like = np.zeros(weight.size, np.float32)
    meeting = np.empty(weight.size, np.int32)
    met = np.empty(weight.size, np.int32)
    count = 0
    factor = 1.0
    for k in range(recent.size):
        i = recent[k]
        said = np.float32(factor) * rarity[i]
        for a in range(item_bounds[i], min(item_bounds[i + 1], item_bounds[i] + reach)):
            v = visit[a]
            if like[v] == 0:
                met[count] = v
                count += 1
                meeting[v] = step[a]
            like[v] += said
        factor *= fading
    best = np.empty(neighbours, np.float64)
    which = np.empty(neighbours, np.int32)
    size = 0
    for c in range(count):
        v = met[c]
        likeness = np.float64(like[v]) ** agreement * weight[v]
        if size < neighbours or likeness >= best[0]:
            size = keep_best(best, which, size, likeness, -v)  # of equals the newer
    scores = np.zeros(rarity.size, np.float32)
    middle = (worth.size - 1) // 2
    for c in range(size):
        v = -which[c]
        for a in range(bounds[v], bounds[v + 1]):
            distance = a - bounds[v] - meeting[v]
            scores[items[a]] += best[c] * worth[middle + distance]
    return scores


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
