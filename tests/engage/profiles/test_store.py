import pytest

from engage.profiles import activity, identity, terms
from engage.profiles.errors import PoisonEvent
from engage.profiles.models import Device, Event, HistoryBlock, Identity, Notice, Profile
from engage.profiles.store import store_events
from tests.engage.profiles.events import identify, make_event, view
from tests.factories import NOON

pytestmark = pytest.mark.django_db


def test_an_event_makes_a_profile_that_knows_it(now) -> None:
    report = store_events([view("p1", user_id="u1", message_id="a")], now=now)

    assert (report.stored, report.duplicates) == (1, 0)
    profile = Profile.objects.get()
    assert identity.find_profile_id(user_id="u1") == profile.pk
    assert (profile.first_seen, profile.last_seen) == (NOON, NOON)
    event = Event.objects.get()
    assert (event.profile_id, event.name, event.properties) == (
        profile.pk,
        "Product Viewed",
        {"product_id": "p1"},
    )
    touch = activity.get_touches([profile.pk])[profile.pk][0]
    assert touch[:3] == ("p1", "Product Viewed", int(NOON.timestamp() * 1000))
    block = HistoryBlock.objects.get()
    assert block.rows == 1


def test_the_same_event_twice_is_stored_once(now) -> None:
    batch = [view("p1", user_id="u1", message_id="a"), view("p2", user_id="u1", message_id="b")]
    store_events([batch[0], batch[0]], now=now)

    report = store_events(batch, now=now)

    assert (report.stored, report.duplicates) == (1, 1)
    assert Event.objects.count() == 2


def test_the_same_message_id_of_another_source_is_another_event(now) -> None:
    batch = [view("p1", user_id="u1", message_id="a", source_id=n) for n in (1, 2)]

    assert store_events(batch, now=now).stored == 2


def test_traits_become_attributes_and_null_removes_them(now) -> None:
    store_events([identify({"email": "a@b.example", "firstName": "Ada"}, user_id="u1")], now=now)
    store_events([identify({"email": None}, user_id="u1", seconds=1)], now=now)

    assert Profile.objects.get().attributes == {"first_name": "Ada"}


def test_an_older_statement_does_not_replace_a_newer_one(now) -> None:
    store_events([identify({"plan": "gold"}, user_id="u1", seconds=5)], now=now)
    store_events([identify({"plan": "none", "city": "Oslo"}, user_id="u1")], now=now)

    assert Profile.objects.get().attributes == {"plan": "gold", "city": "Oslo"}


def test_the_context_tells_locale_and_device(now) -> None:
    context = {
        "locale": "nb-NO",
        "timezone": "Europe/Oslo",
        "device": {"id": "d1", "type": "ios", "token": "t1", "model": "iPhone17,1"},
        "os": {"name": "iOS", "version": "19.1"},
        "app": {"version": "4.2.0"},
    }
    store_events([view("p1", user_id="u1", context=context)], now=now)

    assert Profile.objects.get().attributes == {"locale": "nb-NO", "timezone": "Europe/Oslo"}
    device = Device.objects.get()
    assert (device.token, device.platform, device.model) == ("t1", "ios", "iPhone17,1")
    assert (device.os_version, device.app_version) == ("19.1", "4.2.0")


def test_watched_events_leave_a_notice_and_imports_do_not(now) -> None:
    store_events([make_event("Notification Clicked", user_id="u1")], now=now)
    store_events([make_event("Notification Clicked", user_id="u1")], now=now, notify=False)

    assert Notice.objects.count() == 1


@pytest.mark.parametrize(
    "fields",
    [
        {"user_id": "u\x00"},
        {"user_id": "u1", "properties": {"x": "\x00"}},
        {"user_id": "u1", "properties": {"x": "\ud800"}},
        {"user_id": "u" * 300},
    ],
)
def test_what_cannot_be_stored_is_refused_and_leaves_nothing(now, fields) -> None:
    with pytest.raises(PoisonEvent):
        store_events([view("p1", user_id="u9"), make_event(**fields)], now=now)

    assert (Event.objects.count(), Profile.objects.count()) == (0, 0)


def test_letters_that_copy_gives_a_meaning_come_back_as_they_were(now) -> None:
    odd = 'tab\t, line\n, \\N, \\t, "quoted", 🦉'
    store_events([make_event(odd, user_id=odd, properties={odd: odd, "n": 1.5})], now=now)

    event = Event.objects.get()
    assert (event.name, event.user_id, event.properties) == (odd, odd, {odd: odd, "n": 1.5})
    assert Identity.objects.get().value == odd
    assert terms.values("event")[-1] == odd


def test_an_unreasonable_time_is_clamped_and_counted(now) -> None:
    report = store_events([view("p1", user_id="u1", seconds=10 * 86_400)], now=now)

    assert report.clamped == 1
    assert (Event.objects.get().ts - NOON).total_seconds() == 86_400
