"""Whether a build must not wait for the night: a shop's first one, and when a patch is full."""

from datetime import datetime, timedelta
from typing import Final

from django.db.models import Exists, OuterRef

from catalog.models import Product
from engage.profiles.models import Term
from recommendations.models import Build

# Whoever sets up a shop loads catalog and history and builds by hand; who does not gets a first
# build nevertheless.
FIRST_AFTER: Final = timedelta(minutes=10)  # the first product came
AT_MOST_EVERY: Final = timedelta(hours=1)


def is_build_due(catalog: str, *, now: datetime) -> bool:
    """Nothing is live though people did something with its products, or the live patch is full."""
    builds = Build.objects.filter(catalog=catalog)
    if builds.filter(started_at__gt=now - AT_MOST_EVERY).exists():
        return False
    live = builds.filter(state=Build.State.LIVE).first()
    if live is not None:
        return bool(live.patch_facts.get("full"))
    met = Term.objects.filter(kind=Term.Kind.ITEM, value=OuterRef("item_id"))
    products = Product.objects.filter(
        catalog__name=catalog, deleted_at=None, first_seen__lte=now - FIRST_AFTER
    )
    return products.filter(Exists(met)).exists()
