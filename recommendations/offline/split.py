"""The *split* protocol: a part of each person's items is held back, without order or time.

Train and test have ``user,item``. All items are ranked, those of the training file are not shown
again. The rehearsal holds back a tenth of each person's training items.
"""

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from recommendations.algorithms.histories import histories_of, touched
from recommendations.algorithms.log import Log, make_log
from recommendations.algorithms.sources import Source
from recommendations.algorithms.sources.ease import Ease
from recommendations.algorithms.sources.lowpass import LowPass
from recommendations.algorithms.sources.popular import Popular
from recommendations.algorithms.sources.together import Together
from recommendations.algorithms.trial import Trial, marked
from recommendations.offline.files import Table
from recommendations.offline.naming import Names
from recommendations.offline.task import Task

DENSE_ITEMS = 16_000
HELD_BACK = 0.1
SEED = 20_261_128
START = {"similar": 1.0, "similar_flat": 0.3, "smooth": 1.2, "ease": 1.0, "popular": 0.0}


def task(train: Table, test: Table, *, items: Table | None, repeats: bool = False) -> Task:
    names = Names.of(train, test, items)
    log = make_log(
        names.users_of(train),
        names.items_of(train),
        n_items=len(names.items),
        n_profiles=len(names.users),
    )
    profiles, wanted, counts = names.questions(test)
    rest, held_of, held = hold_back(log, share=HELD_BACK, rng=np.random.default_rng(SEED))
    return Task(
        protocol="split",
        trial=trial_of(log, profiles, wanted),
        rehearsal=trial_of(rest, held_of, held),
        makers=makers_for(log),
        start=START,
        k=20,
        counts=counts,
    )


def trial_of(log: Log, profiles: NDArray[np.int64], items: NDArray[np.int32]) -> Trial:
    """One question per profile, with all its items; those it had before are no targets."""
    width = max(log.n_items, 1)
    known = np.unique(log.profile.astype(np.int64) * width + log.item)
    fresh = ~np.isin(profiles * width + items, known)
    who, question = np.unique(profiles[fresh], return_inverse=True)
    asked = histories_of(log, who, now_ms=0)
    targets = marked(question, items[fresh], shape=(who.size, log.n_items))
    return Trial(log, asked, targets, touched(asked))


def hold_back(
    log: Log, *, share: float, rng: np.random.Generator
) -> tuple[Log, NDArray[np.int64], NDArray[np.int32]]:
    """So large a part of each profile's items, never its only one."""
    width = max(log.n_items, 1)
    pairs = np.unique(log.profile.astype(np.int64) * width + log.item)
    profile = pairs // width
    drawn = rng.random(pairs.size)
    order = np.lexsort((drawn, profile))
    starts = np.searchsorted(profile, profile)
    place = np.arange(pairs.size) - starts
    size = np.bincount(profile, minlength=log.n_profiles)[profile]
    held = np.zeros(pairs.size, bool)
    held[order] = place < np.floor(share * size + 0.5)
    held &= size > 1
    kept = ~np.isin(log.profile.astype(np.int64) * width + log.item, pairs[held])
    return log.take(kept), profile[held], (pairs[held] % width).astype(np.int32)


def makers_for(log: Log) -> Mapping[str, Callable[[], Source]]:
    makers: dict[str, Callable[[], Source]] = {
        "similar": lambda: Together(source=0.7, target=0.3),
        "similar_flat": lambda: Together(source=0.5, target=0.5),
        "smooth": LowPass,
        "popular": Popular,
    }
    if log.n_items <= DENSE_ITEMS:
        makers["ease"] = Ease
    return makers
