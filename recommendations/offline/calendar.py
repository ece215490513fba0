"""A shop cut at a date: what do known people buy in the time that follows?

Learned from everything before the test file begins; each known user is asked once, at that moment,
and the targets are what they purchase in the test file.
"""

from collections.abc import Callable

import numpy as np
from scipy.sparse import csr_matrix

from recommendations.algorithms.histories import DAY_MS, histories_of
from recommendations.algorithms.sources import Source
from recommendations.algorithms.sources.content import Content
from recommendations.algorithms.sources.ease import Ease
from recommendations.algorithms.sources.lowpass import LowPass
from recommendations.algorithms.sources.personal import Personal
from recommendations.algorithms.sources.popular import Popular
from recommendations.algorithms.sources.together import Together
from recommendations.algorithms.sources.trend import Trend
from recommendations.algorithms.trial import Trial, marked
from recommendations.offline.descriptions import words_of
from recommendations.offline.files import Table
from recommendations.offline.shop import Events, Shop, read_shop
from recommendations.offline.task import Task

Maker = Callable[[], Source]

REHEARSED_DAYS = 28
EASE_ITEMS = 15_000  # above, its square would not fit

START_REPEATS = {
    "again": 1.0,
    "ease": 0.35,
    "smooth": 0.1,
    "similar": 0.1,
    "popular": 0.1,
    "trend": 0.35,
}
START_NEW = {"ease": 0.7, "smooth": 0.7, "similar": 0.3, "popular": 0.15, "trend": 0.7}


def task(train: Table, test: Table, *, items: Table | None, repeats: bool) -> Task:
    """The evaluation that the two files ask for.

    Parameters
    ----------
    train, test : Table
        With user, item, event, ts and perhaps order. A row without a user is a guest's: it
        teaches, but nobody is asked for it. A return is no purchase.
    items : Table, optional
        Products that may be recommended besides, with a title or attributes.
    repeats : bool
        False: what somebody bought before is neither shown nor a target.
    """
    shop = read_shop(train, test, items=items)
    start_ms = int(shop.test.ts_ms.min(initial=np.iinfo(np.int64).max))
    early = shop.train.ts_ms < start_ms
    learned = shop.train.take(early)
    cut_ms = int(learned.ts_ms.max(initial=0)) - REHEARSED_DAYS * DAY_MS + 1
    before = learned.ts_ms < cut_ms
    return Task(
        protocol="calendar",
        trial=ask_at(shop, learned, shop.test, now_ms=start_ms, repeats=repeats),
        rehearsal=ask_at(
            shop, learned.take(before), learned.take(~before), now_ms=cut_ms, repeats=repeats
        ),
        makers=makers(words_of(items, shop.items), repeats=repeats, n_items=len(shop.items)),
        start=START_REPEATS if repeats else START_NEW,
        k=20,
        counts={
            "unknown users": shop.unknown_users,
            "unknown items": shop.unknown_items,
            "returns": shop.returns,
            "guest rows": shop.guest_rows,
            "training rows after the cut": int((~early).sum()),
        },
    )


def makers(words: csr_matrix | None, *, repeats: bool, n_items: int) -> dict[str, Maker]:
    found: dict[str, Maker] = {
        "similar": lambda: Together(source=0.6, target=0.4, half_life_days=60),
        "smooth": lambda: LowPass(rank=256),
        "popular": lambda: Popular(half_life_days=7),
        "trend": lambda: Trend(),
    }
    if n_items <= EASE_ITEMS:
        found["ease"] = lambda: Ease(penalty=300, half_life_days=60)
    if repeats:
        found["again"] = lambda: Personal(half_life_days=240)
        found["again_soon"] = lambda: Personal(half_life_days=45)
    if words is not None:
        found["content"] = lambda: Content(words, half_life_days=60)
    return found


def ask_at(shop: Shop, learned: Events, later: Events, *, now_ms: int, repeats: bool) -> Trial:
    """Each user who did anything before is asked, once, what they purchase later."""
    n_users, n_items = len(shop.users), len(shop.items)
    train = learned.log(n_profiles=shop.n_profiles, n_items=n_items)
    shape = (n_users, n_items)
    known = np.diff(train.bounds())[:n_users] > 0
    wanted = later.of(known)
    wanted = wanted.take(wanted.bought)
    targets = marked(wanted.profile, wanted.item, shape=shape)
    sold = learned.of(known)
    sold = sold.take(sold.bought)
    had = marked(sold.profile, sold.item, shape=shape)
    if not repeats:
        targets = (targets > had).tocsr()
    asked = np.flatnonzero(np.diff(targets.indptr))
    return Trial(
        train,
        histories_of(train, asked, now_ms=now_ms),
        targets[asked],
        None if repeats else had[asked],
    )
