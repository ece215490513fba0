"""Who wants an item: touches of many people, read backwards."""

from recommendations.algorithms.kernels.compiling import compiled


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
