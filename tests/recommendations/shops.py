"""Small shops for tests: people, what they did, and models learned from it."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal

import numpy as np

from catalog import snapshot
from engage.lib import clock
from engage.profiles import history
from engage.profiles.activity import Touch
from engage.profiles.store import store_events
from recommendations import build, registry, shelf
from recommendations.algorithms.log import Log, make_log
from recommendations.algorithms.model import ItemModel
from recommendations.algorithms.recipe import Recipe
from recommendations.algorithms.words import index_words
from recommendations.interactions import Interactions
from recommendations.models import Build
from recommendations.serve import Who
from tests.engage.profiles.events import make_event
from tests.factories import NOON, make_catalog, make_product

VIEW, CART, BUY = "Product Viewed", "Product Added", "Order Completed"
DAY = 86_400


def make_shop(names: Sequence[str], **columns: Sequence[object]):
    """A catalog "default" with one product per name; columns by name, in the same order."""
    shop = make_catalog()
    for place, name in enumerate(names):
        extra = {column: values[place] for column, values in columns.items()}
        make_product(
            catalog=shop, item_id=name, name=name.upper(), price=Decimal(10 + place), **extra
        )
    return shop


def change(catalog, item_id: str, **fields: object) -> None:
    """Change a product as an upload does: the catalog's version grows with it."""
    catalog.version += 1
    catalog.save()
    catalog.products.filter(item_id=item_id).update(version=catalog.version, **fields)
    snapshot.refresh(catalog.name)


def random_log(
    *, profiles: int = 60, items: int = 30, events: int = 900, seed: int = 1, days: int = 60
) -> Log:
    """People with a taste: each likes one of five kinds of item, mostly."""
    rng = np.random.default_rng(seed)
    profile = rng.integers(0, profiles, events)
    kind = np.where(rng.random(events) < 0.8, profile % 5, rng.integers(0, 5, events))
    item = kind + 5 * np.minimum(rng.geometric(0.3, events) - 1, (items - 1) // 5)
    return make_log(
        profile,
        np.minimum(item, items - 1),
        weight=rng.choice([1, 1, 1, 3, 5], events),
        ts_ms=rng.integers(0, days * DAY * 1000, events),
        n_items=items,
        n_profiles=profiles,
    )


def log_of(baskets: Sequence[Sequence[str]], ids: Sequence[str], *, weight: int = 5) -> Log:
    """One profile per basket, its items one second after the other."""
    number = {name: place for place, name in enumerate(ids)}
    rows = [
        (u, number[name], k) for u, names in enumerate(baskets) for k, name in enumerate(names)
    ]
    profile, item, step = np.array(rows, np.int64).reshape(-1, 3).T
    return make_log(
        profile,
        item,
        weight=np.full(len(rows), weight),
        ts_ms=step * 1000,
        n_items=len(ids),
    )


def publish(log: Log, ids: Sequence[str], *, recipe: Recipe | None = None) -> Build:
    """Learn and go live, without the measuring."""
    row = Build.objects.create(catalog="default", started_at=NOON)
    model = ItemModel(recipe or Recipe(top=20)).fit(log)
    row.artifact = f"default-{row.pk}"
    row.checksum = build.write(row, model, Interactions(log, list(ids)))
    row.data = {"interactions": len(log), "last_ms": int(log.ts_ms.max(initial=0))}
    row.save()
    registry.publish(row, now=NOON)
    shelf.forget()
    return row


def arrays_of(model: ItemModel) -> dict[str, np.ndarray]:
    """The arrays of an artifact whose products have no words."""
    n_items = model.occurrences_.size
    index = index_words(np.zeros(0, np.uint64), np.zeros(n_items, np.int64))
    return build.arrays_of(model, index)


def touch(item: str, event: str = VIEW, *, hours_ago: float = 1, now: datetime = NOON) -> Touch:
    moment = now - timedelta(hours=hours_ago)
    return Touch(item, event, clock.to_millis(moment), f"m-{item}-{event}-{hours_ago}")


def who(*touches: Touch, profile_id: int | None = None) -> Who:
    return Who(profile_id, list(touches))


def store_history(rows: Sequence[tuple[str, str, str, float]], *, now: datetime = NOON) -> None:
    """(user, item, event, days ago) through the store into the columnar history."""
    events = [
        make_event(
            event,
            user_id=user,
            seconds=-days_ago * DAY,
            properties={"products": [{"product_id": item}]},
            received_at=now,
        )
        for user, item, event, days_ago in rows
    ]
    for start in range(0, len(events), 1000):
        store_events(events[start : start + 1000], now=now)
    history.rebuild()
