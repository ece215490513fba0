"""The *next-item* protocol: each person's last item is asked for, everything before is known.

Train has ``user,item,pos`` (0 is the oldest), test ``user,item``. All items are ranked, those of
the history are not shown again. The rehearsal asks for the last item that the training file has.
"""

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from recommendations.algorithms.histories import histories_of, touched
from recommendations.algorithms.log import Log, make_log
from recommendations.algorithms.sources import Source
from recommendations.algorithms.sources.ease import Ease
from recommendations.algorithms.sources.following import Following
from recommendations.algorithms.sources.popular import Popular
from recommendations.algorithms.sources.ridge import NextRidge
from recommendations.algorithms.sources.together import Together
from recommendations.algorithms.trial import Trial, marked
from recommendations.offline.files import Table
from recommendations.offline.naming import Names
from recommendations.offline.task import Task

DENSE_ITEMS = 16_000  # above, a matrix of items squared is too large and too slow to invert
TWO_BLOCK_ITEMS = 8_000  # the same for twice the features
START = {
    "next": 0.6,
    "step": 0.5,
    "similar": 0.5,
    "ease": 1.0,
    "ridge": 1.25,
    "ridge_two_blocks": 2.5,
    "popular": 0.25,
    "popular_lately": 0.25,
}


def task(train: Table, test: Table, *, items: Table | None, repeats: bool = False) -> Task:
    names = Names.of(train, test, items)
    profile, item = names.users_of(train), names.items_of(train)
    n_items, n_profiles = len(names.items), len(names.users)
    log = make_log(
        profile,
        item,
        ts_ms=train.numbers("pos").astype(np.int64),
        n_items=n_items,
        n_profiles=n_profiles,
    )
    asked, wanted, counts = names.questions(test)
    earlier, last_of, last = without_last(log)
    return Task(
        protocol="next-item",
        trial=trial_of(log, asked, wanted),
        rehearsal=trial_of(earlier, last_of, last),
        makers=makers_for(log),
        start=START,
        k=10,
        counts=counts,
    )


def trial_of(log: Log, profiles: NDArray[np.int64], items: NDArray[np.int32]) -> Trial:
    asked = histories_of(log, profiles, now_ms=0)
    shape = (profiles.size, log.n_items)
    return Trial(log, asked, marked(np.arange(profiles.size), items, shape=shape), touched(asked))


def without_last(log: Log) -> tuple[Log, NDArray[np.int64], NDArray[np.int32]]:
    """The log without the last event of each profile that has two or more; those, and whose."""
    bounds = log.bounds()
    whose = np.flatnonzero(np.diff(bounds) > 1)
    last = bounds[whose + 1] - 1
    kept = np.ones(len(log), bool)
    kept[last] = False
    # A last item that was touched before is hidden with the history: nobody could find it.
    earlier = log.take(kept)
    width = log.n_items
    known = np.unique(earlier.profile.astype(np.int64) * width + earlier.item)
    fresh = ~np.isin(whose * width + log.item[last], known)
    return earlier, whose[fresh], log.item[last][fresh]


def makers_for(log: Log) -> Mapping[str, Callable[[], Source]]:
    """What fits the number of items and how often each was met."""
    met = np.bincount(log.item, minlength=log.n_items)
    often = float(met[met > 0].mean()) if len(log) else 1.0
    # Where items are met often, a history fades slowly and a penalty can be large.
    fading = 0.8 if often > 100 else 0.5
    penalty = float(np.clip(3.5 * often, 10, 1_000))
    makers: dict[str, Callable[[], Source]] = {
        "next": Following,
        "step": lambda: Following(window=1, backward=0.0, source=0.5, target=0.5, fading=fading),
        "similar": lambda: Together(source=0.6, target=0.4, fading=0.5),
        "popular": Popular,
        "popular_lately": lambda: Popular(half_life_steps=20),
    }
    if log.n_items <= DENSE_ITEMS:
        makers["ease"] = lambda: Ease(penalty=penalty, fading=0.8)
        makers["ridge"] = lambda: NextRidge(penalty=min(penalty, 60.0))
    if log.n_items <= TWO_BLOCK_ITEMS:
        makers["ridge_two_blocks"] = lambda: NextRidge(penalty=min(penalty, 60.0), two_blocks=True)
    return makers
