"""What a ranker knows of a product for a person, the same when it learns and when it serves.

All numbers are whole thousandths. So the numbers written beside each product that is shown are,
bit for bit, those that a ranker would have seen at that moment, and nothing is worked out
afterwards from data that came later.

Two ways lead to them: `describe` for the products of many people, `tell` for the few of one
person's list, where each call of numpy would cost more than what it computes. What is added up
is whole numbers, prices in hundredths and the say of touches in `SAY`, so both give the same bits.
"""

from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from catalog.arrays import NO_TIME
from recommendations.algorithms.correlation import NOTHING
from recommendations.arrivals import COLUMNS
from recommendations.persons import DAY_MS, Person
from recommendations.shelf import Shelf

Float64s = NDArray[np.float64]
Int32s = NDArray[np.int32]
LOGGED: Final = (
    "share",  # the score as a share of the best of its rung
    "price",  # log(1 + price)
    "price_ratio",  # log(price / mean price of what the person touched)
    "category",  # the share of the person's touches that is of its category, newer ones more
    "brand",  # and of its brand
    "sales",  # log(1 + sales), as the model counts them
    "trend",  # log(1 + trend)
    "met",  # log(1 + occurrences)
    "age",  # log(1 + days before the newest arrival), where the catalog has a column of it
    "touches",  # products that the person touched lately
)
FEATURES: Final = ("place", "rung", "source", *LOGGED)
RUNGS: Final = (
    "personal",
    "similar_to_last",
    "trending_in_category",
    "trending",
    "best_sellers",
    "similar",
    "next",
    "explored",
    "people_alike",
)  # new ones at the end: their places are in what was learned
SOURCES: Final = (
    "next", "similar", "ridge", "ease", "smooth", "content", "again", "visits", "trend", "sales",
    "arrivals", "cold", "people_alike",
)  # fmt: skip
FIXED: Final = ("hand_picked", "pinned", "explored")  # rungs whose order is not for a ranker
TOUCHES: Final = 20  # of a person, the newest
# What a touch has to say, four fifths of the one after it: whole numbers, exact in any order.
SAY: Final = tuple(4**step * 5 ** (TOUCHES - 1 - step) for step in range(TOUCHES))
SAID: Final = (0, *accumulate(SAY))  # by so many touches together
CENTS: Final = 100  # prices have two decimals
UNIT: Final = 1_000
MOST: Final = 1_000_000  # thousandths, either way
OF_PRODUCTS: Final = ("price", "sales", "trend", "met", "age")  # the same for everybody
KEPT: Final = 10_000  # products of a shelf whose own numbers are remembered
Told = list[int | None]  # the numbers of one product


def of(here: Shelf) -> "Features":
    """Those of a shelf, made once."""
    if here.features is None:
        here.features = Features(here)
    found: Features = here.features
    return found


class Features:
    """What is known of the products of a shelf."""

    def __init__(self, here: Shelf) -> None:
        self.here = here
        types = here.products.types
        self.price: Float64s = here.products.column("price").values
        self.cents: Float64s = np.nan_to_num(np.rint(np.maximum(self.price, 0) * CENTS))  # 0: none
        self.category = here.category_of_row
        self.brand = here.kind_of_row("brand") if types.get("brand") == "text" else None
        came = next((name for name in COLUMNS if types.get(name) == "time"), "")
        self.came_ms = here.products.column(came).values if came else None
        self.newest_ms = int(self.came_ms.max(initial=0)) if self.came_ms is not None else 0
        self.own: dict[int, Told] = {}  # row → `OF_PRODUCTS`

    def describe(self, people: Sequence[Person], rows: Int32s, share: Float64s) -> Float64s:
        """The columns of `LOGGED`, in whole thousandths; NaN where something is not known.

        Parameters
        ----------
        people : sequence of n Persons
        rows : ndarray of shape (n, depth)
            Products of each; -1 is nothing.
        share : ndarray of shape (n, depth)

        Returns
        -------
        ndarray of shape (n, depth, len(LOGGED)), dtype float64
        """
        found = np.full((*rows.shape, len(LOGGED)), np.nan)
        if not rows.size or not len(self.price):
            return found
        touched = np.full((len(people), TOUCHES), NOTHING, np.int32)
        for own, person in zip(touched, people, strict=True):
            recent = person.recent[:TOUCHES]
            own[: len(recent)] = recent
        columns: Mapping[str, Float64s | None] = {
            "share": share,
            "price_ratio": self.price_ratio(rows, touched),
            "category": alike(self.category, rows, touched),
            "brand": None if self.brand is None else alike(self.brand, rows, touched),
            **self.of_products(rows),
            "touches": (touched != NOTHING).sum(axis=1, keepdims=True).astype(np.float64),
        }
        for place, name in enumerate(LOGGED):
            if (column := columns[name]) is not None:
                found[..., place] = column
        found[rows == NOTHING] = np.nan
        return in_thousandths(found)

    def tell(
        self, recent: Sequence[int], rows: Sequence[int], shares: Sequence[float]
    ) -> list[Told]:
        """As `describe` and `write`, for one person's list.

        Parameters
        ----------
        recent : rows that the person touched, newest first, each once
        rows : the products of the list
        shares : of each; NaN where it has none

        Returns
        -------
        One list for each product, in the order of `LOGGED`.
        """
        touched = recent[:TOUCHES]
        depth, touches = len(rows), len(touched) * UNIT
        both = np.array([*rows, *touched], np.int32)
        cents = self.cents[both].tolist()
        kinds = [
            [None] * depth if kind is None else tell_alike(kind[both].tolist(), depth)
            for kind in (self.category, self.brand)
        ]
        ratios = tell_ratios(cents[:depth], cents[depth:])
        return [
            [thousandths(share), price, ratio, category, brand, sales, trend, met, age, touches]
            for share, ratio, category, brand, (price, sales, trend, met, age) in zip(
                shares, ratios, *kinds, self.own_of(rows), strict=True
            )
        ]

    def own_of(self, rows: Sequence[int]) -> list[Told]:
        """`OF_PRODUCTS` of some rows; the same few products are shown all the time."""
        own = self.own
        missing = [row for row in rows if row not in own]
        if missing:
            if len(own) >= KEPT:  # another thread may still read the full one
                own, missing = {}, list(rows)
                self.own = own
            found = np.full((len(missing), len(OF_PRODUCTS)), np.nan)
            columns = self.of_products(np.array(missing, np.int32))
            for place, name in enumerate(OF_PRODUCTS):
                if (column := columns[name]) is not None:
                    found[:, place] = column
            own.update(zip(missing, write(in_thousandths(found)), strict=True))
        return [own[row] for row in rows]

    def price_ratio(self, rows: Int32s, touched: Int32s) -> Float64s:
        """log(price / mean price of what was touched); NaN where one of them is not known or 0."""
        theirs = np.where(touched == NOTHING, 0, self.cents[touched])
        count = (theirs > 0).sum(axis=1, keepdims=True)
        total = theirs.sum(axis=1, keepdims=True)
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = np.log(self.cents[rows] * count / total)
        return np.where(np.isfinite(ratio), ratio, np.nan)

    def of_products(self, rows: Int32s) -> dict[str, Float64s | None]:
        """The columns of `OF_PRODUCTS`."""
        price = np.log1p(np.maximum(self.price[rows], 0))
        return {"price": price, **self.figures(rows), "age": self.age(rows)}

    def figures(self, rows: Int32s) -> dict[str, Float64s | None]:
        """What the model counted; nothing of products that came after it."""
        names = {"sales": "sales", "trend": "trend", "met": "occurrences"}
        model = self.here.model
        if model is None or not model.item_ids:
            return dict.fromkeys(names)
        numbers = self.here.number_of[rows]
        return {
            name: np.where(
                numbers < 0, np.nan, np.log1p(np.maximum(model.arrays[array][numbers], 0))
            )
            for name, array in names.items()
        }

    def age(self, rows: Int32s) -> Float64s | None:
        if self.came_ms is None:
            return None
        came = self.came_ms[rows]
        days = (self.newest_ms - np.where(came == NO_TIME, self.newest_ms, came)) / DAY_MS
        return np.where(came == NO_TIME, np.nan, np.log1p(days))


def in_thousandths(values: Float64s) -> Float64s:
    whole: Float64s = np.clip(np.rint(values * UNIT), -MOST, MOST) + 0.0  # no minus zero
    return whole


def thousandths(value: float) -> int | None:
    """As `in_thousandths`, of one number."""
    return None if value != value else max(-MOST, min(round(value * UNIT), MOST))


def alike(kind: Int32s, rows: Int32s, touched: Int32s) -> Float64s:
    """The share of each person's touches that is of the product's kind; NaN without either."""
    say = np.array(SAY[: touched.shape[1]], np.float64) * (touched != NOTHING)
    theirs = np.where(touched == NOTHING, NOTHING, kind[touched])
    own = kind[rows]
    total = say.sum(axis=1)
    found = ((own[:, :, None] == theirs[:, None, :]) * say[:, None, :]).sum(axis=2)
    known = (own != NOTHING) & (total > 0)[:, None]
    return np.where(known, found / np.where(total > 0, total, 1)[:, None], np.nan)


def tell_alike(kinds: Sequence[int], depth: int) -> list[int | None]:
    """As `alike`, for one person: the kinds of `depth` products, then those of their touches."""
    say: dict[int, int] = {}
    touched = kinds[depth:]
    for kind, own in zip(touched, SAY, strict=False):
        say[kind] = say.get(kind, 0) + own
    total = SAID[len(touched)]
    return [
        thousandths(say.get(kind, 0) / total) if kind != NOTHING and total else None
        for kind in kinds[:depth]
    ]


def tell_ratios(cents: Sequence[float], touched: Sequence[float]) -> list[int | None]:
    """As `price_ratio`, for one person."""
    count, total = sum(1 for own in touched if own), sum(touched)
    if not total:
        return [None] * len(cents)
    # The logarithm of numpy: that of Python may differ in its last bit.
    logs = np.log([own * count / total or 1.0 for own in cents]).tolist()
    return [thousandths(log) if own else None for own, log in zip(cents, logs, strict=True)]


def tabulate(described: Float64s, *, rung: float, source: Float64s) -> Float64s:
    """The columns of `FEATURES`, all products at the first place.

    Parameters
    ----------
    described : ndarray of shape (n, depth, len(LOGGED))
    rung : float
        Its `code`.
    source : ndarray that broadcasts to (n, depth)
        Their codes.

    Returns
    -------
    ndarray of shape (n, depth, len(FEATURES)), dtype float64
    """
    n, depth, _ = described.shape
    first = np.ones((n, depth))
    head = np.stack([first, rung * first, source * first], axis=-1)
    return np.concatenate([head, described], axis=-1)


def write(described: Float64s) -> list[Told]:
    """The features of one list, as they are written beside its products."""
    return [
        [None if value != value else int(value) for value in row] for row in described.tolist()
    ]


def write_many(described: Float64s) -> list[list[Told]]:
    """As `write`, for many lists at once."""
    unknown = np.isnan(described)
    found = np.where(unknown, 0, described).astype(np.int64).astype(object)
    found[unknown] = None
    written: list[list[Told]] = found.tolist()
    return written


def read(written: Any) -> list[float] | None:
    """What `write` wrote, NaN for what was not known; None for anything else."""
    if not isinstance(written, list | tuple) or len(written) != len(LOGGED):
        return None
    if any(value is not None and not isinstance(value, int) for value in written):
        return None
    return [np.nan if value is None else float(value) for value in written]


def code(names: Sequence[str], name: str) -> float:
    """The place of a rung or source; NaN for one that is not known."""
    return float(names.index(name)) if name in names else np.nan
