"""What a ranker knows of a product for a person, the same when it learns and when it serves.

All numbers are whole thousandths. So the numbers written beside each product that is shown are,
bit for bit, those that a ranker would have seen at that moment, and nothing is worked out
afterwards from data that came later.
"""

from collections.abc import Mapping, Sequence
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
FADING: Final = 0.8  # of a touch, per step back
UNIT: Final = 1_000
MOST: Final = 1_000_000  # thousandths, either way


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
        self.category = here.category_of_row
        self.brand = here.kind_of_row("brand") if types.get("brand") == "text" else None
        came = next((name for name in COLUMNS if types.get(name) == "time"), "")
        self.came_ms = here.products.column(came).values if came else None
        self.newest_ms = int(self.came_ms.max(initial=0)) if self.came_ms is not None else 0

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
            **self.prices(rows, touched),
            "category": alike(self.category, rows, touched),
            "brand": None if self.brand is None else alike(self.brand, rows, touched),
            **self.figures(rows),
            "age": self.age(rows),
            "touches": (touched != NOTHING).sum(axis=1, keepdims=True).astype(np.float64),
        }
        for place, name in enumerate(LOGGED):
            if (column := columns[name]) is not None:
                found[..., place] = column
        found[rows == NOTHING] = np.nan
        whole: Float64s = np.clip(np.rint(found * UNIT), -MOST, MOST) + 0.0  # no minus zero
        return whole

    def prices(self, rows: Int32s, touched: Int32s) -> dict[str, Float64s]:
        own = np.maximum(self.price[rows], 0)
        known = np.where(touched == NOTHING, np.nan, self.price[touched])
        count = (known > 0).sum(axis=1, keepdims=True)
        total = np.where(known > 0, known, 0).sum(axis=1, keepdims=True)
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = np.log(own / (total / count))
        return {"price": np.log1p(own), "price_ratio": np.where(np.isfinite(ratio), ratio, np.nan)}

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


def alike(kind: Int32s, rows: Int32s, touched: Int32s) -> Float64s:
    """The share of each person's touches that is of the product's kind; NaN without either."""
    weight = FADING ** np.arange(touched.shape[1]) * (touched != NOTHING)
    theirs = np.where(touched == NOTHING, NOTHING, kind[touched])
    own = kind[rows]
    total = weight.sum(axis=1)
    # One sum over the short last axis: the same bits for one person and for many.
    found = ((own[:, :, None] == theirs[:, None, :]) * weight[:, None, :]).sum(axis=2)
    known = (own != NOTHING) & (total > 0)[:, None]
    return np.where(known, found / np.where(total > 0, total, 1)[:, None], np.nan)


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


def write(described: Float64s) -> list[list[int | None]]:
    """The features of one list, as they are written beside its products."""
    return [
        [None if value != value else int(value) for value in row] for row in described.tolist()
    ]


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
