"""What the lists of somebody's recent items add up to, and which item says most."""

import numpy as np

from recommendations.algorithms.kernels.best import worse
from recommendations.algorithms.kernels.compiling import compiled, prefetch

LINE = 16  # four-byte numbers of a cache line


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
def fetch(table, newer, where, item):  # type: ignore[no-untyped-def]
    """Ask for a row ahead of its time: it lies anywhere in a large table."""
    row = row_of(table, newer, where, item)
    for c in range(0, row.size, LINE):
        prefetch(row, c)


@compiled
def add_up(neighbours, strength, newer, stronger, where, recent, fading, sums):  # type: ignore[no-untyped-def]
    """Add what each recent item says, the newest loudest, to the sums of its neighbours."""
    factor = np.float32(1.0)
    for k in range(recent.size):
        if k + 1 < recent.size:
            fetch(neighbours, newer, where, recent[k + 1])
            fetch(strength, stronger, where, recent[k + 1])
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
