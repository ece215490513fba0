"""Other sources joined into the lists of the kernel, person by person."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from recommendations.algorithms.ranking import Ranked

OWN: Final = -1  # in the place of the recent item that speaks loudest: the person had it before
VISITS: Final = -2  # visits like theirs speak louder than any item
MOST: Final = 50  # products of one offer
Offer = Mapping[int, float]  # number of the artifact → worth, above 0


def join(ranked: Ranked, offers: Sequence[Offer], *, weight: float, code: int) -> Ranked:
    """The lists with each person's offer in them; still padded with -1.

    Both are brought to the scale of their best and added. Where the offer says more than the list
    did, `code` stands in the place of the loudest recent item.
    """
    if not any(offers):
        return ranked
    width = ranked.items.shape[1]
    wide = Ranked._make(widened(array) for array in ranked)
    for u, offer in enumerate(offers):
        if not offer:
            continue
        place_of = {number: k for k, number in enumerate(wide.items[u, :width].tolist())}
        scores = wide.scores[u]
        if scores[0] > 0:
            scores /= scores[0]
        top, free = max(offer.values()), int((wide.items[u] >= 0).sum())
        for number, value in offer.items():
            k = place_of.get(number)
            if k is None:
                k, free = free, free + 1
                wide.items[u, k] = number
            share = weight * value / top
            if share > scores[k]:
                wide.because[u, k] = code
            scores[k] += share
        order = np.lexsort((wide.items[u], -scores, wide.items[u] < 0))
        for array in wide:
            array[u] = array[u, order]
    return wide


def widened(array: NDArray[Any]) -> NDArray[Any]:
    """With room for an offer. What numpy has for it takes fifty times as long for one person."""
    n, width = array.shape
    wide = np.full((n, width + MOST), -1 if array.dtype == np.int32 else 0, array.dtype)
    wide[:, :width] = array
    return wide
