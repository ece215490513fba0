"""A strict clock: what does somebody buy next that they never touched before?

Learned from what came before the first row of the test file. Each row of it is a question, asked
at its own time, of a history that is strictly older and hidden; what the user touched of the
target itself on the way to buying it is left out of the history. Two leaks make the same models
look up to five times better: events after the target in its history, and targets that the user had
touched before the test began, or bought already, whose pair a model recites; those are no
questions.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from recommendations.algorithms.histories import DAY_MS, Histories, touched
from recommendations.algorithms.log import Log
from recommendations.algorithms.sources import Source
from recommendations.algorithms.sources.content import Content
from recommendations.algorithms.sources.following import Following
from recommendations.algorithms.sources.popular import Popular
from recommendations.algorithms.sources.together import Together
from recommendations.algorithms.trial import Trial, marked
from recommendations.offline.descriptions import words_of
from recommendations.offline.files import Table
from recommendations.offline.shop import PURCHASED, Events, Shop, read_shop
from recommendations.offline.task import Task

Maker = Callable[[], Source]

REHEARSED_DAYS = 28
# One question in fifty is a hit, so a small rehearsal chooses by luck. On the last two four weeks
# of Retailrocket's training file (763 and 920 questions), weights chosen on the four weeks before
# reached HR@10 .021 and .013; the documented ones .034 and .011.
LEAST_QUESTIONS = 2_000
START = {"popular": 0.5, "bought": 0.5, "similar": 1.0, "next": 0.5}


def task(train: Table, test: Table, *, items: Table | None, repeats: bool) -> Task:
    """The evaluation that the two files ask for.

    Parameters
    ----------
    train : Table
        With user, item, event, ts. Events at or after the first test time are only history, of
        targets that are strictly later.
    test : Table
        With user, item, ts: purchases.
    items : Table, optional
        Products that may be recommended besides, with a title or attributes.
    repeats : bool
        Not used: a repeat is never a target here.
    """
    shop = read_shop(train, test, items=items)
    start_ms = int(shop.test.ts_ms.min(initial=np.iinfo(np.int64).max))
    early = shop.train.ts_ms < start_ms
    learned = shop.train.take(early)
    asked = ask_each(shop, learned, shop.train.take(~early), shop.test, start_ms=start_ms)
    cut_ms = int(learned.ts_ms.max(initial=0)) - REHEARSED_DAYS * DAY_MS + 1
    before = learned.ts_ms < cut_ms
    later = learned.take(~before)
    # The rehearsal sees of its weeks what the test sees of the test period: often only purchases.
    live = not early.all()
    between = later if live else later.take(np.zeros(len(later), bool))
    rehearsal = ask_each(
        shop, learned.take(before), between, later.take(later.bought), start_ms=cut_ms
    ).trial
    if len(rehearsal) < LEAST_QUESTIONS:
        rehearsal = rehearsal.sample(0, rng=np.random.default_rng(0))
    return Task(
        protocol="purchase",
        trial=asked.trial,
        rehearsal=rehearsal,
        makers=makers(words_of(items, shop.items), live=live),
        start={name: START[name] for name in START if live or name != "next"},
        k=10,
        counts={
            "unknown users": shop.unknown_users,
            "unknown items": shop.unknown_items,
            "targets of unknown users": asked.strangers,
            "targets touched before": asked.touched,
        },
    )


def makers(words: csr_matrix | None, *, live: bool) -> dict[str, Maker]:
    """`live` histories reach up to the question: their newest items say what is wanted now."""
    found: dict[str, Maker] = {
        "popular": lambda: Popular(half_life_days=28),
        "bought": lambda: Popular(half_life_days=28, least_weight=PURCHASED),
        "similar": lambda: Together(source=0.5, target=0.3, fading=0.8 if live else 1.0),
    }
    if live:
        found["next"] = lambda: Following(fading=0.8)
    if words is not None:
        found["content"] = lambda: Content(words, fading=0.8 if live else 1.0)
    return found


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """A trial, and how many targets were left out of it."""

    trial: Trial
    strangers: int
    touched: int


def ask_each(
    shop: Shop, learned: Events, between: Events, bought: Events, *, start_ms: int
) -> Asked:
    """One question per purchase; `between` and earlier purchases are history, as they become it.

    Parameters
    ----------
    learned : Events
        Before every purchase.
    between : Events
        In the test period: of each question only what is strictly earlier.
    bought : Events
    start_ms : int
        When the test begins.
    """
    n_users, n_items = len(shop.users), len(shop.items)
    train = learned.log(n_profiles=shop.n_profiles, n_items=n_items)
    known = np.zeros(n_users, bool)
    known[(learned + between).of(np.ones(n_users, bool)).profile] = True
    wanted = bought.of(known)
    line = (learned + between).of(known) + wanted
    questions = wanted.log(n_profiles=n_users, n_items=n_items)
    questions = questions.take(first_of_each(questions))
    asked = strictly_before(line.log(n_profiles=n_users, n_items=n_items), questions)
    own = asked.item == questions.item[asked.question]
    recited = own & ((asked.ts_ms < start_ms) | (asked.weight >= PURCHASED))
    new = np.flatnonzero(np.bincount(asked.question[recited], minlength=len(asked)) == 0)
    histories = asked.without(own).chosen(new)
    targets = marked(np.arange(new.size), questions.item[new], shape=(new.size, n_items))
    trial = Trial(train, histories, targets, touched(histories))
    return Asked(trial, strangers=len(bought) - len(wanted), touched=len(wanted) - new.size)


def first_of_each(log: Log) -> NDArray[np.bool_]:
    """Marks one of several equal rows (profile, time, item); they are neighbours in a log."""
    first = np.ones(len(log), bool)
    first[1:] = (
        (log.profile[1:] != log.profile[:-1])
        | (log.ts_ms[1:] != log.ts_ms[:-1])
        | (log.item[1:] != log.item[:-1])
    )
    return first


def strictly_before(history: Log, questions: Log) -> Histories:
    """For each question all that its profile did earlier; not what it did at the same time."""
    times = np.unique(np.concatenate([history.ts_ms, questions.ts_ms]))
    when, asked = (
        log.profile * np.int64(times.size) + np.searchsorted(times, log.ts_ms)
        for log in (history, questions)
    )
    begin = history.bounds()[questions.profile]
    lengths = np.searchsorted(when, asked) - begin
    bounds = np.append(0, np.cumsum(lengths))
    events = np.repeat(begin - bounds[:-1], lengths) + np.arange(bounds[-1])
    return Histories(
        bounds,
        history.item[events],
        history.weight[events],
        history.ts_ms[events],
        questions.ts_ms,
        history.n_items,
    )
