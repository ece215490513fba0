"""From the columnar history to a log of interactions with the products of one catalog."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from catalog import snapshot
from engage.profiles import history, terms
from recommendations.algorithms.log import Events, Log

PURCHASE: Final = "Order Completed"
# How much an event says about the liking of its products. What is not listed counts as a view.
WEIGHTS: Final[Mapping[str, int]] = {
    "Product Viewed": 1,
    "Product Clicked": 1,
    "Product Shared": 2,
    "Product Reviewed": 2,
    "Product Added to Wishlist": 2,
    "Product Added": 3,
    "Checkout Started": 3,
    PURCHASE: 5,
    # Taken back: no liking, so they are left out rather than counted against the product.
    "Product Removed": 0,
    "Product Removed from Wishlist": 0,
    "Order Refunded": 0,
    "Order Cancelled": 0,
    # We showed it; that is our doing.
    "Product List Viewed": 0,
    "Promotion Viewed": 0,
    "Notification Viewed": 0,
    "Notification Dismissed": 0,
}
DEFAULT_WEIGHT: Final = 1
SILENT: Final = frozenset(event for event, weight in WEIGHTS.items() if not weight)
SALE_WEIGHT: Final = WEIGHTS[PURCHASE]


@dataclass(frozen=True, slots=True, eq=False)
class Interactions:
    """A log, and what its numbers mean: products and profiles in the order of their ids."""

    log: Log
    item_ids: list[str]
    profile_ids: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))

    def facts(self) -> dict[str, Any]:
        """What was learned from, for the registry."""
        log = self.log
        return {
            "interactions": len(log),
            "profiles": log.n_profiles,
            "profiles_with_two": count_with_two(log),
            "products": log.n_items,
            "products_met": int(np.count_nonzero(np.bincount(log.item))),
            "first_ms": int(log.ts_ms.min()) if len(log) else None,
            "last_ms": int(log.ts_ms.max()) if len(log) else None,
        }


def count_with_two(log: Log) -> int:
    """Profiles that met two different products or more."""
    if not len(log):
        return 0
    starts = np.unique(log.profile, return_index=True)[1]
    first, last = (f.reduceat(log.item, starts) for f in (np.minimum, np.maximum))
    return int((first != last).sum())


def read(catalog: str) -> Interactions:
    """All of the history that is about products the catalog has now.

    Erased profiles are not in the history, merged ones are one there.
    """
    products = snapshot.current(catalog)
    events = read_events(products.index)
    return Interactions(events.as_log(), list(products.ids), np.unique(events.profile))


def read_events(index: Mapping[str, int]) -> Events:
    """All of the history that is about these items, under their numbers; by profile id."""
    columns = history.open_history().read()
    item_numbers = number_by_term(terms.values("item"), index)
    weights = weight_by_term(terms.values("event"))
    item, weight = look_up(item_numbers, columns.item, -1), look_up(weights, columns.event, 0)
    kept = (item >= 0) & (weight > 0)
    return Events(
        columns.profile[kept], item[kept], weight[kept], columns.ts_ms[kept], n_items=len(index)
    )


def number_by_term(values: list[str], index: Mapping[str, int]) -> NDArray[np.int32]:
    """The product's place in the snapshot for each number of the history; -1 for none."""
    return np.array([index.get(value, -1) for value in values], np.int32)


def weight_by_term(values: list[str]) -> NDArray[np.int32]:
    return np.array([WEIGHTS.get(value, DEFAULT_WEIGHT) for value in values], np.int32)


def look_up(table: NDArray[np.int32], numbers: NDArray[Any], default: int) -> NDArray[np.int32]:
    """`table[numbers]`; terms that were added after the table was read get the default."""
    padded: NDArray[np.int32] = np.append(table, np.int32(default))
    found: NDArray[np.int32] = padded[np.minimum(numbers, table.size)]
    return found
