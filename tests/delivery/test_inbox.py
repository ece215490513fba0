import json
from datetime import timedelta
from uuid import UUID

import pytest

from delivery import erasure, inbox, interactions
from delivery.inbox import Entry, Place
from delivery.interactions import About, Deed, Kind
from delivery.models import InboxMessage
from engage.lib.clock import to_millis
from engage.lib.errors import InvalidInput
from engage.lib.ids import uuid7
from engage.profiles.models import Erasure, Profile
from tests.factories import NOON, make_profile

pytestmark = pytest.mark.django_db
LATER = NOON + timedelta(hours=1)


@pytest.fixture
def person():
    return make_profile()


def put(profile, *, at=NOON, hours=24, title="Hello", message_id=None) -> UUID:
    entry = Entry(
        profile.pk,
        message_id or uuid7(to_millis(at)),
        7,
        "card",
        json.dumps({"title": {"text": title}}),
        f"token of {title}",
        at + timedelta(hours=hours),
    )
    inbox.store([entry], timeout_seconds=5, now=at)
    return entry.message_id


def do(kind, profile, message_id, *, item="", machine=False):
    about = About(profile.pk, message_id, 7, None, 1, "inbox")
    interactions.add([Deed(about, kind, LATER, item, machine=machine)])


def look(profile, *, now=LATER, limit=10, before=None):
    return inbox.list_messages(profile.pk, limit=limit, before=before, now=now)


def ids(page):
    return [one.id for one in page.messages]


def test_what_was_put_in_waits_as_it_is(person):
    message_id = put(person)
    page = look(person)
    [one] = page.messages
    assert (one.id, one.campaign_id, one.content_type) == (message_id, 7, "card")
    assert (one.content, one.token) == ({"title": {"text": "Hello"}}, "token of Hello")
    assert (one.created_at, one.expires_at) == (NOON, NOON + timedelta(hours=24))
    assert (one.read, one.clicked, page.unread, page.next) == (False, False, 1, "")


def test_a_message_put_in_twice_is_one(person):
    message_id = put(person, title="first")
    put(person, title="second", message_id=message_id, at=LATER)
    [one] = look(person).messages
    assert (one.content["title"]["text"], one.created_at) == ("first", NOON)


def test_the_newest_stands_first_whenever_it_was_planned(person):
    planned_first = uuid7(to_millis(NOON - timedelta(days=1)))
    second = put(person, at=NOON)
    put(person, at=NOON + timedelta(minutes=5), message_id=planned_first)
    assert ids(look(person)) == [planned_first, second]


def test_an_expired_message_is_left_out_from_that_moment_on(person):
    put(person, hours=1)
    assert len(look(person, now=LATER - timedelta(microseconds=1)).messages) == 1
    assert look(person, now=LATER) == inbox.Page([], 0, "")


def test_an_impression_makes_it_read_and_a_click_clicked(person):
    seen, clicked, untouched = put(person), put(person), put(person)
    do(Kind.IMPRESSION, person, seen)
    do(Kind.IMPRESSION, person, clicked)
    do(Kind.CLICK, person, clicked, item="p1")
    do(Kind.IMPRESSION, person, untouched, machine=True)
    page = look(person)
    assert {one.id: (one.read, one.clicked) for one in page.messages} == {
        seen: (True, False), clicked: (True, True), untouched: (False, False),
    }  # fmt: skip
    assert page.unread == 1


def test_what_was_dismissed_is_neither_shown_nor_counted(person):
    gone, kept = put(person), put(person)
    do(Kind.DISMISS, person, gone)
    page = look(person)
    assert (ids(page), page.unread) == ([kept], 1)


def test_pages_go_on_where_the_last_one_ended_also_among_equal_times(person):
    put_in = [put(person) for _ in range(5)]
    found, page, before = [], look(person, limit=2), None
    while True:
        assert page.unread == 5
        found += ids(page)
        if not page.next:
            break
        before = inbox.read_place(page.next)
        page = look(person, limit=2, before=before)
    assert found == sorted(put_in, reverse=True)


def test_a_page_goes_on_although_its_last_message_is_gone(person):
    first = put(person, at=NOON)
    put(person, at=NOON + timedelta(minutes=1))
    place = look(person, limit=1).next
    InboxMessage.objects.exclude(id=first).delete()
    assert ids(look(person, before=inbox.read_place(place))) == [first]


@pytest.mark.parametrize("text", ["x", "1", "1-", "-1-" + "0" * 32, "1" * 17 + "-" + "0" * 32])
def test_a_place_that_is_none_is_refused(text):
    with pytest.raises(InvalidInput):
        inbox.read_place(text)


def test_a_place_is_read_to_the_microsecond():
    moment = NOON + timedelta(microseconds=123_457)
    micros = round(moment.timestamp() * 1e6)
    found = inbox.read_place(f"{micros}-{'0' * 31}1")
    assert found == Place(moment, UUID(int=1))


def test_a_survivor_finds_what_was_put_in_before_the_merge(person):
    merged = make_profile()
    theirs, own = put(merged), put(person, at=LATER)
    Profile.objects.filter(pk=merged.pk).update(merged_into=person.pk)
    do(Kind.IMPRESSION, merged, theirs)
    page = look(person, now=LATER + timedelta(minutes=1))
    assert [(one.id, one.read) for one in page.messages] == [(own, False), (theirs, True)]
    assert page.unread == 1
    assert [one["id"] for one in inbox.export(person.pk)] == [str(own), str(theirs)]


def test_nobody_finds_the_messages_of_another(person):
    put(make_profile())
    assert look(person).messages == []


def test_nothing_is_put_in_for_somebody_who_is_being_erased(person):
    other = make_profile()
    Erasure.objects.create(profile_id=person.pk, requested_at=NOON)
    entries = [
        Entry(one, uuid7(), 7, "", "{}", "t", LATER) for one in (person.pk, other.pk, 10**12)
    ]
    stored = inbox.store(entries, timeout_seconds=5, now=NOON)
    assert stored == ({person.pk, 10**12}, set())
    assert [row.profile_id for row in InboxMessage.objects.all()] == [other.pk]


def test_erasing_empties_the_inbox_of_that_person(person):
    other = make_profile()
    put(person)
    kept = put(other)
    erasure.erase(person.pk)
    assert list(InboxMessage.objects.values_list("id", flat=True)) == [kept]


def test_an_export_has_everything_in_the_inbox_also_what_was_dismissed(person):
    message_id = put(person)
    do(Kind.DISMISS, person, message_id)
    assert inbox.export(person.pk) == [
        {
            "id": str(message_id),
            "campaign_id": 7,
            "content_type": "card",
            "content": {"title": {"text": "Hello"}},
            "created_at": "2026-11-02T12:00:00+00:00",
            "expires_at": "2026-11-03T12:00:00+00:00",
        }
    ]


def test_what_expired_is_deleted_in_bounded_sweeps(person, monkeypatch):
    monkeypatch.setattr(inbox, "SWEEP", 2)
    for _ in range(5):
        put(person, hours=1)
    kept = put(person, hours=2)
    assert inbox.drop_expired(sweeps=2, now=LATER) == 4
    assert inbox.drop_expired(sweeps=2, now=LATER) == 1
    assert inbox.drop_expired(sweeps=2, now=LATER) == 0
    assert list(InboxMessage.objects.values_list("id", flat=True)) == [kept]
