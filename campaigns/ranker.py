"""The second stage: a ranker is trained on the lists that slots showed, and on their clicks."""

from array import array
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Final

import numpy as np
from numpy.typing import NDArray

from campaigns.arms import read_catalogs
from campaigns.models import Variant
from catalog.models import Catalog
from delivery import lists
from delivery.chances import Place
from delivery.lists import Product, Told
from engage.lib.errors import NotFound
from recommendations import features, rankers
from recommendations.models import Ranker

DAYS: Final = 90
MOST: Final = 1_000_000  # products that are learned from, the newest: some 300 bytes each
HEAD: Final = 4  # list, time in ms, block, clicked
STAYS: Final = -1  # the block of what keeps its place


def train(catalog: str, *, now: datetime) -> Ranker:
    """Learn from the last days; the row says what became of it. Safe to run twice.

    Raises
    ------
    NotFound
        If there is no such catalog.
    """
    if not Catalog.objects.filter(name=catalog).exists():
        raise NotFound(f"There is no catalog {catalog!r}.")
    table = read(catalog, since=now - timedelta(days=DAYS))
    number, ts_ms, block, clicked = table[:, :HEAD].T.astype(np.int64)
    return rankers.train(
        catalog, table[:, HEAD:], clicked.astype(bool), number, ts_ms, block, now=now
    )


def list_catalogs() -> list[str]:
    """Those that a campaign fills slots from: others have nothing to learn from."""
    known = Catalog.objects.filter(name__in=set(read_catalogs().values()))
    return sorted(known.values_list("name", flat=True))


def read(catalog: str, *, since: datetime) -> NDArray[np.float64]:
    """Products as people saw them, the oldest list first: `HEAD`, then `features.FEATURES`."""
    catalogs = read_catalogs()
    variants = {variant for (variant, _), own in catalogs.items() if own == catalog}
    found = Variant.objects.filter(pk__in=variants).values_list("campaign_id", flat=True)
    cells, count = array("d"), 0
    for told in lists.read(set(found), since=since):
        for shown in by_slot(told, catalogs, catalog):
            count += 1
            for product in shown:
                cells.extend((-count, told.ts_ms, *describe(product, told)))
        if len(cells) >= MOST * (HEAD + len(features.FEATURES)):
            break
    table = np.frombuffer(cells, np.float64).reshape(-1, HEAD + len(features.FEATURES))
    # The newest list was read first, and is to come last; inside a list by place.
    return table[np.lexsort((table[:, HEAD], table[:, 0]))]


def by_slot(told: Told, catalogs: Mapping[Place, str], catalog: str) -> Iterator[list[Product]]:
    """The lists of a message that were filled from the catalog, without what was not described."""
    found: dict[str, list[Product]] = {}
    for product in told.products:
        if (
            catalogs.get((told.variant_id, product.slot)) == catalog
            and features.read(product.f) is not None
        ):
            found.setdefault(product.slot, []).append(product)
    yield from found.values()


def describe(product: Product, told: Told) -> Iterator[float]:
    """Block, clicked, and the columns of `features.FEATURES`."""
    fixed = product.rung in features.FIXED
    rung = features.code(features.RUNGS, product.rung)
    yield STAYS if fixed or rung != rung else rung  # a rung of another release is not known
    yield product.item in told.clicked
    yield product.rank
    yield rung
    yield features.code(features.SOURCES, product.source)
    yield from features.read(product.f) or ()
