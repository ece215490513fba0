"""When products came: by the shop's own column, or by when we first heard of them."""

from datetime import timedelta
from typing import Final

import numpy as np
from numpy.typing import NDArray

from catalog.arrays import NO_TIME
from catalog.models import Product
from catalog.snapshot import Snapshot
from engage.lib import clock

# Own columns of type "time" that say it, the plainest first.
COLUMNS: Final = (
    "first_seen",
    "available_from",
    "availability_date",
    "release_date",
    "released_at",
    "published_at",
    "added_at",
    "created_at",
)
MOST: Final = 5_000  # products that are looked at
# What came with the first upload is the shop as it was; only what came later arrived.
OPENING: Final = timedelta(days=1)
Arrivals = tuple[NDArray[np.int32], NDArray[np.int64]]  # rows, newest first, and their times in ms


def find(products: Snapshot) -> Arrivals:
    """The products that came last and when; of equals the smaller id first."""
    for name in COLUMNS:
        if products.types.get(name) == "time":
            return newest(products.column(name).values)
    return first_heard_of(products)


def newest(came_ms: NDArray[np.int64]) -> Arrivals:
    rows = np.flatnonzero(came_ms != NO_TIME)
    rows = rows[np.argsort(-came_ms[rows], kind="stable")][:MOST]
    return rows.astype(np.int32), came_ms[rows]


def first_heard_of(products: Snapshot) -> Arrivals:
    live = Product.objects.filter(catalog_id=products.catalog_id, deleted_at=None)
    first = live.order_by("first_seen").values_list("first_seen", flat=True).first()
    if first is None:
        return newest(np.empty(0, np.int64))
    later = live.filter(first_seen__gt=first + OPENING).order_by("-first_seen")
    found = later.values_list("item_id", "first_seen")[:MOST]
    pairs = [
        (-clock.to_millis(came), products.index[item])
        for item, came in found
        if item in products.index  # rows may be newer than the snapshot
    ]
    came_ms, rows = np.array(sorted(pairs), np.int64).reshape(-1, 2).T
    return rows.astype(np.int32), -came_ms
