from collections.abc import Iterator

import pytest
from django.db import connection

from engage.profiles import devices, identity
from engage.profiles.models import Device
from engage.profiles.store import store_events
from tests.engage.profiles.events import view
from tests.factories import make_profile

pytestmark = pytest.mark.django_db


def opened(user_id: str, device_id: str, token: str | None = None, **fields):
    device = {"id": device_id, "type": "android"} | ({} if token is None else {"token": token})
    return view("p1", user_id=user_id, context={"device": device}, **fields)


def tokens_of(user_id: str) -> list[tuple[str, str, str]]:
    number = identity.find_profile_id(user_id=user_id)
    return devices.push_tokens([number]).get(number, [])


def test_the_newest_token_of_a_device_counts_whatever_came_first(now) -> None:
    store_events([opened("u1", "d1", "new", seconds=5)], now=now)
    store_events([opened("u1", "d1", "old")], now=now)

    assert tokens_of("u1") == [("d1", "new", "android")]


def test_an_empty_token_takes_the_push_away(now) -> None:
    store_events([opened("u1", "d1", "t1"), opened("u1", "d1", "", seconds=1)], now=now)

    assert tokens_of("u1") == []


def test_a_phone_that_changed_hands_belongs_to_its_newest_owner(now) -> None:
    batches = [[opened("u1", "d1", "t1")], [opened("u2", "d1", "t1", seconds=9)]]
    for batch in reversed(batches):
        store_events(batch, now=now)

    assert tokens_of("u1") == []
    assert tokens_of("u2") == [("d1", "t1", "android")]


def test_a_token_the_provider_does_not_know_is_gone_until_another_comes(now) -> None:
    store_events([opened("u1", "d1", "t1")], now=now)
    number = identity.find_profile_id(user_id="u1")

    devices.mark_gone(number, "d1", "another token")
    assert len(tokens_of("u1")) == 1
    devices.mark_gone(number, "d1", "t1")
    assert tokens_of("u1") == []
    store_events([opened("u1", "d1", "t1", seconds=1)], now=now)
    assert tokens_of("u1") == []
    store_events([opened("u1", "d1", "t2", seconds=2)], now=now)
    assert tokens_of("u1") == [("d1", "t2", "android")]


def test_somebody_asked_for_twice_has_their_tokens_once(now) -> None:
    person = make_profile(push_token="t1")
    found = devices.push_tokens([person.pk, person.pk])
    assert found == {person.pk: [(f"d{person.pk}", "t1", "")]}


def test_tokens_are_looked_up_one_by_one_whatever_the_planner_knows(now) -> None:
    """When it last looked, nobody had one: it would take their table for empty."""
    people = [make_profile(push_token=f"t{n}").pk for n in range(300)]
    with connection.cursor() as cursor:
        cursor.execute("UPDATE profiles_device SET token = ''")
        cursor.execute("ANALYZE profiles_device")
        cursor.execute("UPDATE profiles_device SET token = device_id")
        cursor.execute(f"EXPLAIN (FORMAT JSON) {devices.TOKENS}", [people])
        [explained] = cursor.fetchone()[0]
    scans = [node for node in nodes(explained["Plan"]) if "Relation Name" in node]
    assert [scan["Index Cond"] for scan in scans] == [
        "(profile_id = asked.profile_id)", "(token = d.token)"
    ]  # fmt: skip
    assert Device.objects.filter(token="").count() == 0


def nodes(plan) -> Iterator[dict]:
    yield plan
    for child in plan.get("Plans", ()):
        yield from nodes(child)


def test_odd_contexts_are_left_out(now) -> None:
    odd = ["text", [], {"id": 7}, {"id": "d1", "token": 7}, {"id": "d2", "token": "t" * 5000}]
    store_events([view("p", user_id="u1", context={"device": each}) for each in odd], now=now)

    number = identity.find_profile_id(user_id="u1")
    assert [(d["id"], d["token"]) for d in devices.list_devices(number)] == [
        ("d1", ""),
        ("d2", ""),
    ]


SUBSCRIPTION = '{"endpoint": "https://push.example/1", "keys": {"p256dh": "B", "auth": "A"}}'


def test_a_browsers_subscription_gets_web_pushes_and_no_others(now) -> None:
    web = {"id": "browser", "type": "web", "token": SUBSCRIPTION}
    odd = {"id": "odd", "type": "web", "token": '{"endpoint": 7}'}
    browser = view("p1", user_id="u1", context={"device": web}, seconds=1)
    other = view("p1", user_id="u1", context={"device": odd}, seconds=2)
    store_events([opened("u1", "phone", "t1"), browser, other], now=now)
    number = identity.find_profile_id(user_id="u1")

    assert tokens_of("u1") == [("phone", "t1", "android")]
    assert devices.push_tokens([number], web=True) == {number: [("browser", SUBSCRIPTION, "web")]}


@pytest.mark.parametrize(
    ("token", "platform", "expected"),
    [
        (SUBSCRIPTION, "web", True), (SUBSCRIPTION, "Web", True), (SUBSCRIPTION, "android", False),
        ("fcm:token", "web", False), ("{", "web", False), ("{}", "web", False),
        ('{"endpoint": "https://push.example/1"}', "web", False), ("{" * 4_000, "web", False),
    ],
)  # fmt: skip
def test_a_subscription_has_an_endpoint_and_keys(token, platform, expected) -> None:
    assert devices.is_subscription(token, platform) is expected
