"""The *session* protocol: after every step of an anonymous session, what comes next?

Train has ``session,item,pos`` (0 is the oldest), test ``history,next``: a history is item ids with
spaces between, oldest first. Items of the history may be asked for again. The rehearsal holds the
newest sessions of the training file back and asks after each of their steps.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from recommendations.algorithms.histories import Histories
from recommendations.algorithms.log import Log, make_log
from recommendations.algorithms.sources import Source
from recommendations.algorithms.sources.fallback import OrPopular
from recommendations.algorithms.sources.following import Following
from recommendations.algorithms.sources.popular import Popular
from recommendations.algorithms.sources.ranked import Ranked
from recommendations.algorithms.sources.sessions import LikeSessions
from recommendations.algorithms.sources.twosteps import TwoSteps
from recommendations.algorithms.trial import Trial, marked
from recommendations.offline.files import Table
from recommendations.offline.task import Task

UNKNOWN_HISTORY = "items of histories unseen in training"
UNKNOWN_NEXT = "questions for items unseen in training"
EMPTY = "questions without a known history"
HELD_BACK = 0.05  # of the sessions, for the rehearsal
FIRST_STAGE = {"sessions": 1.0, "two_steps": 0.4, "next": 0.04}
START = {"ranked": 1.0}


def task(train: Table, test: Table, *, items: Table | None = None, repeats: bool = True) -> Task:
    """The two files as questions; `items` are not needed, and repeats are always allowed.

    An item of a history that the training file does not have is left out. A question for such an
    item stays, and is a miss.
    """
    met = set(train["item"])
    names = {name: number for number, name in enumerate(sorted(met.union(test["next"])))}
    log = log_of(train, names)
    histories = [[names[name] for name in cell.split() if name in met] for cell in test["history"]]
    wanted = np.array([names[name] for name in test["next"]], np.int64)
    counts = {
        UNKNOWN_HISTORY: sum(len(cell.split()) for cell in test["history"])
        - sum(map(len, histories)),
        UNKNOWN_NEXT: sum(name not in met for name in test["next"]),
        EMPTY: sum(not history for history in histories),
    }
    return Task(
        protocol="session",
        trial=trial_of(log, histories, wanted),
        rehearsal=rehearsal_of(log),
        makers=MAKERS,
        start=START,
        k=20,
        counts=counts,
    )


def log_of(train: Table, names: Mapping[str, int]) -> Log:
    """Sessions numbered from the oldest; the clock ticks once at every event.

    The oldest session has the lowest number, or stands first where sessions are not numbers.
    """
    sessions = train["session"]
    every = list(dict.fromkeys(sessions))
    if all(name.isdecimal() for name in every):
        every.sort(key=int)
    number = {name: place for place, name in enumerate(every)}
    profile = np.array([number[name] for name in sessions], np.int64)
    item = np.array([names[name] for name in train["item"]], np.int64)
    order = np.lexsort((train.numbers("pos"), profile))
    clock = np.arange(order.size)
    return make_log(
        profile[order], item[order], ts_ms=clock, n_items=len(names), n_profiles=len(every)
    )


def trial_of(log: Log, histories: Sequence[Sequence[int]], wanted: NDArray[np.int64]) -> Trial:
    item = np.array([item for history in histories for item in history], np.int32)
    lengths = np.array([len(history) for history in histories], np.int64)
    asked = histories_after(log, np.append(0, np.cumsum(lengths)), item)
    places = np.arange(wanted.size)
    return Trial(log, asked, marked(places, wanted, shape=(wanted.size, log.n_items)), None)


def rehearsal_of(log: Log) -> Trial:
    """Learned from all but the newest sessions, asked after each step of those."""
    first = log.n_profiles - int(np.ceil(HELD_BACK * log.n_profiles))
    earlier = log.take(log.profile < first)
    bounds = log.bounds()
    known = np.zeros(log.n_items, bool)
    known[earlier.item] = True
    histories: list[list[int]] = []
    wanted: list[int] = []
    for begin, end in zip(bounds[first:-1].tolist(), bounds[first + 1 :].tolist(), strict=True):
        path = log.item[begin:end]
        for step in range(1, end - begin):
            before = path[:step]
            histories.append(before[known[before]].tolist())
            wanted.append(int(path[step]))
    return trial_of(earlier, histories, np.array(wanted, np.int64))


def histories_after(log: Log, bounds: NDArray[np.int64], item: NDArray[np.int32]) -> Histories:
    """Questions asked after the end of the log, one tick of its clock per event."""
    end = int(log.ts_ms.max(initial=0))
    lengths = np.diff(bounds)
    ticks = np.arange(item.size) - np.repeat(bounds[:-1], lengths) + 1
    weight = np.ones(item.size, np.int32)
    return Histories(
        bounds.astype(np.int64), item, weight, end + ticks, end + 1 + lengths, log.n_items
    )


def first_stage() -> dict[str, Source]:
    return {
        "sessions": OrPopular(LikeSessions()),
        "two_steps": TwoSteps(),
        "next": Following(window=10, decay=0.8, backward=0.7, source=0.5, target=0.3, fading=0.5),
        "step": Following(window=1, backward=0.0, source=1.0, target=0.0, fading=0.01),
    }


MAKERS: Mapping[str, Callable[[], Source]] = {
    "sessions": lambda: OrPopular(LikeSessions()),
    "two_steps": TwoSteps,
    "next": lambda: Following(
        window=10, decay=0.8, backward=0.7, source=0.5, target=0.3, fading=0.5
    ),
    "popular": Popular,
    "ranked": lambda: Ranked(first_stage, FIRST_STAGE),
}
