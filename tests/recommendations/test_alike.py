"""A product has neighbours from the moment it is uploaded: those described like it."""

import pytest

from recommendations import serve
from recommendations.descriptions import words_of
from tests.factories import NOON, make_product
from tests.recommendations.shops import change, log_of, make_shop, publish, touch, who

pytestmark = pytest.mark.django_db
IDS = ["boot", "cap", "coat", "mug"]
NAMES = ["Red wool boot", "Red wool cap", "Blue coat", "Blue mug"]


@pytest.fixture
def shop():
    catalog = make_shop(IDS, category=["wear", "wear", "wear", "home"])
    for item, name in zip(IDS, NAMES, strict=True):
        change(catalog, item, name=name)
    publish(log_of([["coat", "mug"]] * 3, IDS), IDS)
    return catalog


def upload(catalog, item_id: str, **columns: object) -> None:
    make_product(catalog=catalog, item_id=item_id, **columns)
    change(catalog, item_id)


def similar(item: str, n: int = 2, **options):
    asked = {"strategy": "similar", "item": item, "n": n, "ladder": (), "now": NOON}
    (found,) = serve.recommend([who()], **(asked | options))
    return [(pick.item, pick.source, pick.reason) for pick in found.picks]


def test_a_newcomer_has_neighbours_before_anybody_met_it(shop):
    upload(shop, "scarf", name="Red wool scarf", category="wear")
    reason = "goes with Red wool scarf"
    assert similar("scarf") == [("boot", "content", reason), ("cap", "content", reason)]


def test_what_was_met_together_comes_before_what_is_described_alike(shop):
    found = similar("coat", n=3)
    assert [pair[:2] for pair in found] == [
        ("mug", "similar"),
        ("boot", "content"),
        ("cap", "content"),
    ]


def test_somebody_who_viewed_a_newcomer_gets_what_is_like_it(shop):
    upload(shop, "scarf", name="Red wool scarf", category="wear")
    (found,) = serve.recommend([who(touch("scarf"))], n=2, now=NOON)
    assert [(p.item, p.rung, p.source, p.reason) for p in found.picks] == [
        ("boot", "similar_to_last", "content", "because you viewed Red wool scarf"),
        ("cap", "similar_to_last", "content", "because you viewed Red wool scarf"),
    ]


def test_what_is_sold_out_is_not_found_by_its_description(shop):
    change(shop, "boot", in_stock=False)
    upload(shop, "scarf", name="Red wool scarf", category="wear")
    assert [item for item, *_ in similar("scarf", n=1)] == ["cap"]


def test_labels_of_own_columns_are_words_and_long_texts_are_read():
    extra = {"brand": "Acme", "tags": ["warm"], "stars": 5, "text": "A cap " + "for snow " * 9}
    assert words_of("Red cap", "Head > Wear", extra) == [
        *("red", "cap", "category head > wear", "head", "wear"),
        *("brand acme", "tags warm", "for", "snow"),
    ]
