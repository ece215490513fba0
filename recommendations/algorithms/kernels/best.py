"""A heap of the best candidates, the worst of them at its root."""

from recommendations.algorithms.kernels.compiling import compiled


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
