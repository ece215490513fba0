from datetime import timedelta

import pytest
from django.db import connection

from engage.profiles import activity, consents, erasure, identity, people, upkeep
from engage.profiles.activity import Touch
from engage.profiles.models import Erasure, Event, Profile
from engage.profiles.store import store_events
from tests.engage.profiles.events import alias, identify, make_event, view

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.usefixtures("only_this_room", "redis_keys", "history_folder"),
]
SECRET = "secret-person"


def store_everything(now) -> int:
    """A person with a row in every table of this room; their number."""
    context = {"device": {"id": f"{SECRET}-device", "token": f"{SECRET}-token"}}
    store_events(
        [
            identify({"email": f"{SECRET}@mail.example"}, user_id=SECRET, context=context),
            view("p1", anonymous_id=f"{SECRET}-anonymous"),
            make_event("Signed In", user_id=SECRET, anonymous_id=f"{SECRET}-anonymous"),
            view("p2", user_id=f"{SECRET}-old"),
        ],
        now=now,
    )
    clicked = make_event("Notification Clicked", user_id=SECRET, properties={"who": SECRET})
    store_events([alias(f"{SECRET}-old", SECRET), clicked], now=now)
    number = identity.find_profile_id(user_id=SECRET)
    consents.state_opt_out(
        number, channel="email", topic=SECRET, stated_ms=1_790_000_000_000, message_id="m"
    )
    activity.note_pending(
        pipe_of(), user_id=SECRET, anonymous_id="", touches=[Touch("p9", "Product Viewed", 1, "x")]
    )
    return number


def pipe_of():
    from engage.lib.redis import client

    return client()


def tables_with(text: str) -> set[str]:
    """Every table of the database that has the text in any row."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
            " WHERE n.nspname = 'public' AND c.relkind = 'r'"
        )
        names = [row[0] for row in cursor.fetchall()]
        found = set()
        for name in names:
            cursor.execute(
                f'SELECT 1 FROM "{name}" t WHERE t::text LIKE %s LIMIT 1', [f"%{text}%"]
            )
            if cursor.fetchone():
                found.add(name)
    return found


def test_nothing_of_an_erased_person_is_left(now) -> None:
    number = store_everything(now)
    store_events([view("p1", user_id="somebody-else")], now=now)
    assert len(tables_with(SECRET)) >= 5

    erasure.erase(number, now=now)

    assert tables_with(SECRET) == set()
    assert activity.pending(user_id=SECRET) == []
    assert Profile.objects.count() == 1
    assert Event.objects.count() == 1
    journal = Erasure.objects.order_by("profile_id")
    assert {row.finished_at for row in journal} == {now}
    assert number in {row.profile_id for row in journal}


def test_erasing_twice_does_nothing_more(now) -> None:
    number = store_everything(now)
    erasure.erase(number, now=now)
    erasure.erase(number, now=now)

    assert Erasure.objects.filter(profile_id=number).count() == 1


def test_an_erasure_that_a_crash_left_open_is_carried_out(now, settings, monkeypatch) -> None:
    number = store_everything(now)
    monkeypatch.setattr(erasure, "forget", lambda cursor, number: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        erasure.erase(number, now=now)
    monkeypatch.undo()
    assert Erasure.objects.filter(finished_at=None).exists()
    settings.ERASERS = []

    upkeep.clean_up(now=now)

    assert not Erasure.objects.filter(finished_at=None).exists()
    assert tables_with(SECRET) == set()


def test_the_rooms_above_take_part(now, settings, monkeypatch) -> None:
    called = []
    monkeypatch.setattr(people, "erase_above", called.append, raising=False)
    settings.ERASERS = ["engage.profiles.people.erase_above"]
    store_events([view("p1", user_id="u1")], now=now)
    number = identity.find_profile_id(user_id="u1")

    erasure.erase(number, now=now)

    assert called == [number]


def test_the_rooms_above_forget_again_what_came_too_late(now, settings, monkeypatch) -> None:
    called = []
    monkeypatch.setattr(people, "erase_above", called.append, raising=False)
    settings.ERASERS = ["engage.profiles.people.erase_above"]
    store_events([view("p1", user_id="u1")], now=now)
    number = identity.find_profile_id(user_id="u1")
    erasure.erase(number, now=now)

    upkeep.clean_up(now=now + timedelta(days=1))
    assert called == [number, number]
    upkeep.clean_up(now=now + timedelta(days=3))
    assert called == [number, number]


def test_who_comes_back_is_a_new_person(now) -> None:
    old = store_everything(now)
    erasure.erase(old, now=now)

    store_events([view("p3", user_id=SECRET)], now=now)

    new = identity.find_profile_id(user_id=SECRET)
    assert new != old
    assert [touch.item for touch in activity.recent(new)] == ["p3"]
