"""What stands in the visits most like a history."""

import numpy as np

from recommendations.algorithms.kernels.best import keep_best
from recommendations.algorithms.kernels.compiling import compiled


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
