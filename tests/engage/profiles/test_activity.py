import pytest

from engage.lib.redis import client
from engage.profiles import activity, identity
from engage.profiles.activity import Touch
from engage.profiles.store import store_events
from tests.engage.profiles.events import make_event, view
from tests.factories import NOON

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis_keys")]
NOON_MS = int(NOON.timestamp() * 1000)


def hint(
    item: str, *, user_id: str = "", anonymous_id: str = "", ms: int = 0, mid: str = ""
) -> None:
    touch = Touch(item, "Product Viewed", NOON_MS + ms, mid or item)
    activity.note_pending(client(), user_id=user_id, anonymous_id=anonymous_id, touches=[touch])


def hint_order(items, *, ms: int = 0, **identity: str) -> None:
    touches = [Touch(item, activity.PURCHASE, NOON_MS + ms, f"order {ms}") for item in items]
    ids = {"user_id": "", "anonymous_id": ""} | identity
    activity.note_pending(client(), **ids, touches=touches)


def items_of(touches) -> list[str]:
    return [touch.item for touch in touches]


def test_the_newest_fifty_are_kept_whatever_came_first(now) -> None:
    views = [view(f"p{n}", user_id="u1", seconds=n) for n in range(70)]
    for batch in (views[30:], views[:30]):
        store_events(batch, now=now)

    number = identity.find_profile_id(user_id="u1")
    assert items_of(activity.get_touches([number])[number]) == [f"p{n}" for n in range(69, 19, -1)]


def test_hints_come_before_what_is_stored_and_none_counts_twice(now) -> None:
    store_events([view("a", user_id="u1", message_id="m1")], now=now)
    hint("a", user_id="u1", mid="m1")
    hint("b", user_id="u1", ms=5, mid="m2")
    hint("b", user_id="u1", ms=5, mid="m2")

    number = identity.find_profile_id(user_id="u1")
    assert items_of(activity.recent(number, user_id="u1")) == ["b", "a"]
    assert items_of(activity.recent(number)) == ["b", "a"]
    assert items_of(activity.recent(None, user_id="u1")) == ["b", "a"]


def test_hints_of_a_device_go_to_the_user_it_belongs_to(now) -> None:
    store_events([make_event("Signed In", user_id="u1", anonymous_id="a1")], now=now)
    store_events([view("x", user_id="u2")], now=now)
    hint("b", anonymous_id="a1")
    u1, u2 = (identity.find_profile_id(user_id=user) for user in ("u1", "u2"))

    assert items_of(activity.recent(u1, user_id="u1", anonymous_id="a1")) == ["b"]
    assert items_of(activity.recent(u2, user_id="u2", anonymous_id="a1")) == ["x"]


def test_many_profiles_are_read_at_once(now) -> None:
    store_events([view("a", user_id="u1"), view("b", anonymous_id="a2")], now=now)
    hint("c", anonymous_id="a2", ms=1)
    u1, a2 = identity.find_profile_id(user_id="u1"), identity.find_profile_id(anonymous_id="a2")

    found = activity.recent_many([u1, a2, 10**9])

    assert {number: items_of(touches) for number, touches in found.items()} == {
        u1: ["a"],
        a2: ["c", "b"],
        10**9: [],
    }


def test_hints_expire_and_are_bounded() -> None:
    for number in range(60):
        hint(f"p{number}", user_id="u1", ms=number)

    key = activity.hint_key(user_id="u1", anonymous_id="")
    assert client().llen(key) == 50
    assert 0 < client().ttl(key) <= activity.HINT_SECONDS


def test_a_purchase_of_more_than_fifty_products_is_hinted_whole() -> None:
    bought = [f"b{n}" for n in range(80)]
    hint_order(bought, user_id="u1")
    assert set(items_of(activity.recent(None, user_id="u1"))) == set(bought)


def test_a_purchase_that_is_older_than_fifty_other_touches_is_still_known(now) -> None:
    store_events([view(f"p{n}", user_id="u1", seconds=n) for n in range(50)], now=now)
    hint_order(["b"], user_id="u1", ms=-1000)
    for n in range(60):
        hint(f"v{n}", user_id="u1", ms=100_000 + n)

    number = identity.find_profile_id(user_id="u1")
    views = [f"v{n}" for n in range(59, 9, -1)]
    assert items_of(activity.recent(number, user_id="u1")) == [*views, "b"]
    assert items_of(activity.recent(number)) == [*views, "b"]


def test_hinted_purchases_are_bounded_and_forgotten_with_the_person() -> None:
    for n in range(3):
        hint_order([f"b{n}-{k}" for k in range(500)], anonymous_id="a1", ms=n)

    key = activity.bought_key(user_id="", anonymous_id="a1")
    assert client().llen(key) == activity.BOUGHT_HINTS
    assert 0 < client().ttl(key) <= activity.HINT_SECONDS
    activity.forget_pending([("anonymous", "a1")])
    assert client().exists(key) == 0
