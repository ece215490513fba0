from datetime import timedelta

import pytest

from catalog.models import Product
from recommendations.due import is_build_due
from recommendations.models import Build
from tests.factories import NOON
from tests.recommendations.shops import VIEW, make_shop, store_history

pytestmark = pytest.mark.django_db
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)


@pytest.fixture
def shop():
    catalog = make_shop(["a", "b"])
    Product.objects.update(first_seen=NOON)
    store_history([("ann", "a", VIEW, 1.0)])
    return catalog


def due(**later: float) -> bool:
    return is_build_due("default", now=NOON + timedelta(**later))


def test_the_first_build_comes_ten_minutes_after_the_first_product(shop):
    assert [due(minutes=9), due(minutes=10)] == [False, True]


def test_a_shop_nobody_did_anything_in_has_nothing_to_build(shop):
    Product.objects.filter(item_id="a").update(deleted_at=NOON)
    assert due(hours=2) is False


def test_a_build_that_failed_is_not_tried_again_before_an_hour(shop):
    Build.objects.create(catalog="default", state="failed", started_at=NOON + HOUR)
    assert [due(minutes=119), due(minutes=120)] == [False, True]


def test_a_live_build_lasts_until_its_patch_is_full(shop):
    live = Build.objects.create(catalog="default", state="live", started_at=NOON)
    assert due(hours=2) is False
    live.patch_facts = {"full": True}
    live.save()
    assert [due(minutes=59), due(minutes=60)] == [False, True]


def test_an_unknown_catalog_needs_nothing():
    assert is_build_due("nowhere", now=NOON) is False
