"""What an accepted event is filed as."""

import json
from datetime import UTC, datetime

import pytest

from engage.collector import filing, formats
from engage.lib.clock import to_millis

NOON = datetime(2026, 11, 2, 12, 0, tzinfo=UTC)
SEED = "0192f7c397a77b8e9f533f1f0b6f1c10"


def file(*events, **said_for_all):
    body = json.dumps({"batch": list(events), **said_for_all}).encode()
    batch = formats.parse(body, form="segment/batch")
    assert batch.rejected == []
    return filing.file_events(batch, source_id=3, received_ms=to_millis(NOON), seed=SEED)


def test_track_keeps_its_name_and_properties():
    [event] = file(
        {"type": "track", "event": "Product Viewed", "userId": 7, "anonymousId": None,
         "messageId": "m1", "properties": {"product_id": "p1"}}
    )  # fmt: skip
    assert (event.kind, event.name, event.user_id, event.anonymous_id) == (
        "track", "Product Viewed", "7", "",
    )  # fmt: skip
    assert (event.source_id, event.message_id, event.properties) == (3, "m1", {"product_id": "p1"})
    assert event.ts == event.received_at == NOON


def test_other_kinds_are_named_for_their_kind():
    page = {"type": "page", "userId": "u", "name": "Home", "properties": {"url": "/"}}
    group = {"type": "group", "userId": "u", "groupId": 9, "traits": {"plan": "gold"}}
    alias = {"type": "alias", "userId": "u", "previousId": 12}
    first, second, third = file(page, group, alias)
    assert (first.name, first.properties) == ("page", {"name": "Home", "url": "/"})
    assert (second.name, second.properties) == ("group", {"group_id": "9", "plan": "gold"})
    assert (third.name, third.previous_id) == ("alias", "12")


def test_traits_of_an_identify_may_stand_in_its_context():
    [event] = file(
        {"type": "identify", "userId": "u", "traits": {"email": "new@shop.example"},
         "context": {"traits": {"email": "old@shop.example", "first_name": "Ann"}}}
    )  # fmt: skip
    assert event.traits == {"email": "new@shop.example", "first_name": "Ann"}


def test_traits_in_the_context_of_others_are_no_statement():
    [event] = file(
        {"type": "track", "event": "E", "userId": "u", "context": {"traits": {"email": "x"}}}
    )
    assert event.traits == {}


def test_context_of_the_batch_holds_where_the_event_says_nothing():
    [event] = file(
        {"type": "track", "event": "E", "userId": "u", "context": {"locale": "de"}},
        context={"locale": "en", "timezone": "Europe/Berlin"},
    )
    assert event.context == {"locale": "de", "timezone": "Europe/Berlin"}


def test_time_is_corrected_by_the_clock_of_the_client():
    [event] = file(
        {"type": "track", "event": "E", "userId": "u", "timestamp": "2020-01-01T00:00:00Z"},
        sentAt="2020-01-01T00:10:00Z",
    )
    assert event.ts == datetime(2026, 11, 2, 11, 50, tzinfo=UTC)
    assert event.context == {}


def test_time_days_ahead_becomes_the_arrival_and_is_marked():
    [event] = file(
        {"type": "track", "event": "E", "userId": "u", "timestamp": "2031-01-01T00:00:00Z"}
    )
    assert event.ts == NOON
    assert event.context == {"engage": {"stated_time": "2031-01-01T00:00:00Z"}}


def test_missing_message_ids_are_the_same_at_each_reading():
    event = {"type": "track", "event": "E", "userId": "u"}
    first, second = file(event, event), file(event, event)
    assert [e.message_id for e in first] == [e.message_id for e in second]
    assert first[0].message_id == "0192f7c3-97a7-7b8e-9f53-3f1f0b6f1c10"
    assert first[1].message_id == "0192f7c3-97a7-7b8e-9f53-3f1f0b6f1c11"


@pytest.mark.parametrize("place", [0, 1, 2499])
def test_minted_id_is_a_uuid_of_version_7(place):
    seed = filing.new_seed(to_millis(NOON))
    assert filing.mint_id(seed, place)[14] == "7"
