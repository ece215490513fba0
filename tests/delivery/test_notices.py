import time
from datetime import timedelta
from uuid import uuid4

import msgspec
import pytest

from delivery import chances, inapp, reports
from delivery.models import Interaction, Message
from delivery.notices import Consumed
from delivery.tracking import consume_notices
from engage.lib.ids import uuid7
from engage.lib.signing import sign
from engage.profiles.events import StoredEvent
from engage.profiles.store import store_events
from tests.factories import NOON, make_profile

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def person():
    return make_profile(user_id="ann")


def token_for(profile_id: int, *, message_id=None, **fields: object) -> str:
    return inapp.make_token(
        message_id=message_id or uuid7(), profile_id=profile_id, campaign_id=3, variant_id=5,
        items=[("p1", 1), ("p2", 2)], **fields,
    )  # fmt: skip


def tell(name: str, token: object, *, event_id: str = "", **properties: object) -> None:
    event = StoredEvent(
        source_id=1, message_id=event_id or str(uuid4()), kind="track",
        name=f"Notification {name}", ts=NOON, received_at=NOON, user_id="ann",
        properties={"token": token, **properties},
    )  # fmt: skip
    store_events([event], now=NOON)


def deeds() -> list[tuple]:
    rows = Interaction.objects.order_by("kind", "item_id")
    return list(rows.values_list("kind", "item_id", "position"))


def consume() -> Consumed:
    """A notice is final when every older transaction of the server ended, also those of others."""
    deadline = time.monotonic() + 10
    while (consumed := consume_notices(NOON)).heard == 0 and time.monotonic() < deadline:
        time.sleep(0.01)
    return consumed


SEEN = [("impression", "", None), ("impression", "p1", 1), ("impression", "p2", 2)]


def test_viewed_is_an_impression_of_the_message_and_each_product(person):
    message_id = uuid7()
    tell("Viewed", token_for(person.pk, message_id=message_id))
    assert consume() == Consumed(heard=1, written=3, forged=0)
    assert deeds() == SEEN
    row = Message.objects.get()
    assert (row.id, row.kind, row.state, row.channel, row.campaign_id, row.variant_id) == (
        message_id, "in_app", "accepted", "in_app", 3, 5,
    )  # fmt: skip
    assert row.items == [{"item": "p1", "rank": 1}, {"item": "p2", "rank": 2}]


def test_price_at_the_showing_comes_back_with_the_token(person):
    items = [("p1", 1, "9.90"), ("p2", 2, "")]
    token = inapp.make_token(
        message_id=uuid7(), profile_id=person.pk, campaign_id=3, variant_id=5, items=items
    )
    tell("Viewed", token)
    consume()
    assert Message.objects.get().items == [
        {"item": "p1", "rank": 1, "price": "9.90"},
        {"item": "p2", "rank": 2},
    ]


def test_what_was_left_to_chance_stands_in_the_ledger(person):
    drawn = {"slot": "picks", "p": 0.25, "arm": "cold", "arms": {"cold": 0.1}}
    items = [("p1", 1, "9.90"), inapp.TokenItem("p2", 2, "1.00", drawn)]
    token = inapp.make_token(
        message_id=uuid7(), profile_id=person.pk, campaign_id=3, variant_id=5, items=items
    )
    tell("Viewed", token)
    tell("Clicked", token, item_id="p2")
    consume()
    assert Message.objects.get().items[1] == {"item": "p2", "rank": 2, "price": "1.00", **drawn}
    since = NOON - timedelta(days=1)
    assert chances.count([3], since=since) == [((5, "picks"), "cold", 1, 1)]
    [read] = chances.read([3], since=since, most=10)
    assert read == (person.pk, (5, "picks"), 0.25, {"cold": 0.1}, True)


def test_token_of_an_earlier_release_has_no_price(person):
    facts = [uuid7(), person.pk, 3, 5, None, "in_app", [["p1", 1]]]
    tell("Viewed", sign(msgspec.msgpack.encode(facts), purpose=inapp.PURPOSE))
    consume()
    assert Message.objects.get().items == [{"item": "p1", "rank": 1}]


def test_everything_counts_once(person):
    token = token_for(person.pk)
    for _ in range(2):
        tell("Viewed", token, event_id="same")
        tell("Viewed", token)
        tell("Clicked", token, item_id="p2")
    heard = 0
    while heard < 5:
        heard += consume().heard
    assert consume_notices(NOON) == Consumed(0, 0, 0)
    assert deeds() == [("click", "p2", 2), *SEEN]
    figures = reports.campaign_figures(3)
    assert (figures["planned"], figures["impressions"], figures["clicks"]) == (1, 1, 1)


def test_a_click_says_which_product_and_the_token_says_where_it_stood(person):
    tell("Clicked", token_for(person.pk), item_id="p2", position=99)
    consume()
    assert deeds()[0] == ("click", "p2", 2)


def test_a_product_that_was_not_shown_is_not_clicked(person):
    tell("Clicked", token_for(person.pk), item_id="p9")
    consume()
    assert deeds() == [("click", "", None), *SEEN]


def test_dismissed_is_kept(person):
    tell("Dismissed", token_for(person.pk))
    consume()
    assert deeds() == [("dismiss", "", None)]


@pytest.mark.parametrize("token", ["forged", "", None, 7, ["x"], {"a": 1}, "é"])
def test_forged_tokens_are_counted_and_do_nothing(person, token):
    tell("Viewed", token)
    assert consume() == Consumed(heard=1, written=0, forged=1)
    assert Message.objects.count() == 0


def test_a_message_made_before_the_person_was_stored_is_theirs(person):
    tell("Viewed", token_for(0))
    consume()
    assert {row.profile_id for row in Interaction.objects.all()} == {person.pk}


def test_nobody_comes_back_after_an_erasure(person):
    tell("Viewed", token_for(person.pk + 1_000))
    assert consume().written == 0
    assert Message.objects.count() == 0


def test_a_push_that_was_seen_gets_no_second_row(person):
    tell("Viewed", token_for(person.pk, channel="push", run_id=4))
    consume()
    assert Message.objects.count() == 0
    assert set(Interaction.objects.values_list("channel", "run_id")) == {("push", 4)}
