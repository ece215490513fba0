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
