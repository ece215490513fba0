"""The *rating* protocol: what people would rate, and whether what they like ranks high.

Train and test have ``user,item,rating`` and may have ``ts``. A liked item is one rated at least at
four fifths of the range that the training file has; everybody is asked for the liked items of the
test, what they rated before is not shown again. Besides the figures of lists: ``rmse`` over all
ratings of the test, ``precision@10``, and ``recall@10`` as elsewhere.
"""

from collections.abc import Mapping
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from recommendations.algorithms.log import make_log
from recommendations.algorithms.ratings import Ratings
from recommendations.algorithms.trial import Trial
from recommendations.offline import split
from recommendations.offline.files import Table
from recommendations.offline.naming import Names
from recommendations.offline.task import Task

LIKED = 0.75  # of the way from the lowest to the highest rating: 4 of 1 to 5
RANKS, PENALTIES = (0, 8, 32), (0.05, 0.1, 0.2)
SHARE = 0.1  # of the training ratings, to choose by
SEED = 20_261_128
Floats = NDArray[np.float64]


def task(train: Table, test: Table, *, items: Table | None, repeats: bool = False) -> Task:
    names = Names.of(train, test, items)
    profile, item, rating = names.users_of(train), names.items_of(train), train.numbers("rating")
    shape = (len(names.users), len(names.items))
    liked_from = rating.min() + LIKED * np.ptp(rating) if rating.size else 0.0
    log = make_log(profile, item, n_items=shape[1], n_profiles=shape[0])
    user, wanted = names.users_of(test), names.items_of(test)
    given = test.numbers("rating")
    asked = (user >= 0) & (given >= liked_from)
    _, _, counts = names.questions(test)
    rest, held_of, held = split.hold_back(log, share=SHARE, rng=np.random.default_rng(SEED))
    stored = as_matrix(profile, item, rating, shape=shape)

    def further(lists: NDArray[np.int32], trial: Trial) -> Mapping[str, float]:
        model = choose(profile, item, rating, shape=shape).fit(stored)
        wrong = model.predict(user, wanted.astype(np.int64)) - given
        hits = np.array(
            [np.isin(row[:10], w).sum() for row, w in zip(lists, trial.wanted(), strict=True)]
        )
        return {
            "rmse": float(np.sqrt((wrong**2).mean())),
            "precision@10": float(hits.mean() / 10),
        }

    return Task(
        protocol="rating",
        trial=split.trial_of(log, user[asked], wanted[asked]),
        rehearsal=split.trial_of(rest, held_of, held),
        makers=split.makers_for(log),
        start=split.START,
        k=10,
        counts=counts,
        further=further,
    )


def as_matrix(
    profile: NDArray[np.int64], item: NDArray[np.int32], rating: Floats, *, shape: tuple[int, int]
) -> csr_matrix:
    """The last rating of each pair."""
    key = profile * shape[1] + item
    _, from_end = np.unique(key[::-1], return_index=True)
    last = key.size - 1 - from_end
    return csr_matrix((rating[last], (profile[last], item[last])), shape=shape)


def choose(
    profile: NDArray[np.int64], item: NDArray[np.int32], rating: Floats, *, shape: tuple[int, int]
) -> Ratings:
    """The constants that predict a held-back tenth of the training ratings best, unfitted."""
    held = np.random.default_rng(SEED).random(rating.size) < SHARE
    if held.all() or not held.any():
        return Ratings(rank=0)
    rest = as_matrix(profile[~held], item[~held], rating[~held], shape=shape)
    best, least = Ratings(rank=0), float("inf")
    for rank, penalty in product(RANKS, PENALTIES):
        if not rank and penalty != PENALTIES[0]:
            continue  # no factor, nothing to punish
        tried = Ratings(rank=rank, penalty=penalty).fit(rest)
        wrong = tried.predict(profile[held], item[held].astype(np.int64)) - rating[held]
        if (error := float((wrong**2).mean())) < least:
            best, least = Ratings(rank=rank, penalty=penalty), error
    return best
