"""For people with a short history: what goes with it in the visits most like theirs."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from recommendations.algorithms.visits import LONGEST, Visits
from recommendations.joining import MOST, Offer
from recommendations.shelf import Rows

LEAST: Final = 2  # items; one alone says nothing that its own list does not


def offer_visits(
    visits: Visits, recent: Sequence[int], blocked: Sequence[int], groups: Rows
) -> Offer:
    """By number of the artifact; nothing for somebody with a longer history, or hardly any.

    Parameters
    ----------
    recent : numbers, newest first, each once
    blocked : numbers that must not be shown to this person
    groups : as the kernel takes them
    """
    known = [number for number in recent if number < visits.target.size]
    if not LEAST <= len(known) <= LONGEST:
        return {}
    items, scores = visits.best(np.array(known, np.int32), n=visits.target.size)
    open_to_all = groups[items] >= -1
    hidden = set(blocked)
    found: dict[int, float] = {}
    for item, score in zip(items[open_to_all].tolist(), scores[open_to_all].tolist(), strict=True):
        if item not in hidden:
            found[item] = score
            if len(found) == MOST:
                break
    return found
