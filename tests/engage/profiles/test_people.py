import json

import pytest
from ninja.testing import TestClient

from engage.lib.errors import NotFound
from engage.profiles import api, consents, identity, people
from engage.profiles.store import store_events
from tests.engage.profiles.events import identify, make_event, view

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.usefixtures("only_this_room", "redis_keys", "history_folder"),
]


def test_the_export_is_the_whole_person(now) -> None:
    device = {"device": {"id": "d1", "token": "t1", "type": "iOS"}, "os": {"version": "19"}}
    store_events(
        [
            identify(
                {"email": "a@b.example", "subscriptions": {"email": True}},
                user_id="u1",
                message_id="m1",
                context=device,
            ),
            view("p1", user_id="u1", anonymous_id="a1", seconds=1.5, message_id="m2"),
        ],
        now=now,
    )

    person = people.get_person(identity.find_profile_id(user_id="u1"))

    assert person["profile"] == {
        "id": "u1",
        "attributes": {"email": "a@b.example"},
        "first_seen": "2026-11-02T12:00:00.000Z",
        "last_seen": "2026-11-02T12:00:01.500Z",
    }
    assert person["identities"] == [
        {"kind": "user", "value": "u1"},
        {"kind": "anonymous", "value": "a1"},
    ]
    assert [(d["id"], d["token"], d["platform"]) for d in person["devices"]] == [
        ("d1", "t1", "ios")
    ]
    assert [(c["channel"], c["status"]) for c in person["consents"]] == [("email", "opted_in")]
    assert [(e["message_id"], e["event"], e["ts"], e["properties"]) for e in person["events"]] == [
        ("m1", "identify", "2026-11-02T12:00:00.000Z",
         {"email": "a@b.example", "subscriptions": {"email": True}}),
        ("m2", "Product Viewed", "2026-11-02T12:00:01.500Z", {"product_id": "p1"}),
    ]  # fmt: skip
    assert person["messages"] == []
    json.dumps(person)


def test_a_profile_that_is_not_there_is_not_found() -> None:
    with pytest.raises(NotFound):
        people.get_person(7)


def test_the_door_finds_user_ids_with_slashes_and_anonymous_ids(now) -> None:
    store_events([view("p1", user_id="tenant/7"), view("p1", anonymous_id="a1")], now=now)
    doors = TestClient(api.router)

    assert doors.get("/profiles/tenant/7").json()["profile"]["id"] == "tenant/7"
    assert doors.get("/profiles/a1?kind=anonymous").json()["profile"]["id"] == "a1"
    with pytest.raises(NotFound, match="no profile with the user id 'a1'"):
        doors.get("/profiles/a1")


def test_the_door_erases(now) -> None:
    store_events([view("p1", user_id="u1")], now=now)
    doors = TestClient(api.router)

    assert doors.delete("/profiles/u1").json() == {"success": True}
    assert identity.find_profile_id(user_id="u1") is None


def profile_of(user_id: str) -> int:
    return identity.find_profile_id(user_id=user_id)


def opt(status: str, user_id: str = "u1", **more):
    properties = {"channel": more.pop("channel", "email"), "status": status}
    properties["topic"] = more.pop("topic", "")
    return make_event("Consent Changed", user_id=user_id, properties=properties, **more)


def test_email_needs_an_opt_in_and_push_only_no_opt_out(now) -> None:
    store_events([opt("opted_in"), view("p1", user_id="u2")], now=now)
    u1, u2 = profile_of("u1"), profile_of("u2")

    assert consents.allowed([u1, u2, 10**9], channel="email") == {u1}
    assert consents.allowed([u1, u2], channel="push") == {u1, u2}


def test_a_topic_narrows_and_a_channel_opt_out_beats_it(now) -> None:
    store_events([opt("opted_in"), opt("opted_out", topic="deals")], now=now)
    u1 = profile_of("u1")

    assert consents.allowed([u1], channel="email", topic="deals") == set()
    assert consents.allowed([u1], channel="email", topic="news") == {u1}
    store_events([opt("opted_in", topic="deals", seconds=1), opt("opted_out", seconds=2)], now=now)
    assert consents.allowed([u1], channel="email", topic="deals") == set()


def test_a_tie_is_an_opt_out(now) -> None:
    store_events([opt("opted_out", message_id="a"), opt("opted_in", message_id="b")], now=now)

    assert consents.allowed([profile_of("u1")], channel="email") == set()


def test_a_withdrawal_by_link_can_be_taken_back_and_given_again(now) -> None:
    store_events([opt("opted_in")], now=now)
    u1 = profile_of("u1")
    later_ms = int(now.timestamp() * 1000) + 1000

    consents.state_opt_out(u1, channel="email", stated_ms=later_ms, message_id="mail 1")
    assert consents.allowed([u1], channel="email") == set()
    store_events([opt("opted_in", seconds=2)], now=now)
    assert consents.allowed([u1], channel="email") == {u1}
    consents.state_opt_out(u1, channel="email", stated_ms=later_ms + 9_000, message_id="mail 1")
    assert consents.allowed([u1], channel="email") == set()
    assert people.get_person(u1)["consents"][0]["source"] == "unsubscribe link"


def test_a_withdrawal_reaches_the_profile_that_a_merged_one_became(now) -> None:
    store_events([opt("opted_in"), opt("opted_in", user_id="u2")], now=now)
    old = profile_of("u1")
    store_events([make_event("alias", kind="alias", previous_id="u1", user_id="u2")], now=now)
    new = profile_of("u2")
    assert consents.allowed([old, new], channel="email") == {old, new}

    consents.state_opt_out(old, channel="email", stated_ms=int(now.timestamp() * 1000) + 1)

    assert consents.allowed([old, new], channel="email") == set()
