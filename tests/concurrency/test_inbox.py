"""Putting into an inbox while its person is erased: nothing is left behind."""

import threading
import time
from datetime import timedelta

import pytest
from django.db import connection, transaction

from delivery import erasure, inbox
from delivery.inbox import Entry
from delivery.models import InboxMessage
from engage.lib.ids import uuid7
from engage.profiles.models import Erasure
from tests.factories import NOON, make_profile

pytestmark = pytest.mark.django_db(transaction=True)


def entry_for(person) -> Entry:
    return Entry(person.pk, uuid7(), 7, "", "{}", "t", NOON + timedelta(hours=1))


def in_thread(work):
    def run():
        try:
            work()
        finally:
            connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def wait_until_somebody_waits(*, how_many=1):
    """Until so many server processes wait for a lock that another one holds."""
    deadline = time.monotonic() + 10
    with connection.cursor() as cursor:
        while time.monotonic() < deadline:
            cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
            if cursor.fetchone()[0] >= how_many:
                return
    raise AssertionError("nobody waited")


def erase(profile_id):
    Erasure.objects.create(profile_id=profile_id, requested_at=NOON)
    erasure.erase(profile_id)


def test_an_erasing_waits_for_what_is_being_put_in_and_finds_it():
    person = make_profile()
    entry = entry_for(person)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(inbox.LOCK, [[person.pk]])
        cursor.execute(inbox.ADD, [NOON, *([one] for one in entry)])
        thread = in_thread(lambda: erase(person.pk))
        wait_until_somebody_waits()
    thread.join()
    assert InboxMessage.objects.count() == 0


def test_what_comes_while_an_erasing_goes_on_is_put_off_and_then_refused():
    person = make_profile()
    entry = entry_for(person)
    erasing, go_on = threading.Event(), threading.Event()

    def slowly():
        with transaction.atomic():
            erasure.erase(person.pk)
            erasing.set()
            go_on.wait(10)

    thread = in_thread(slowly)
    assert erasing.wait(10)
    assert inbox.store([entry], timeout_seconds=5, now=NOON) == (set(), {person.pk})
    Erasure.objects.create(profile_id=person.pk, requested_at=NOON)
    assert inbox.store([entry], timeout_seconds=5, now=NOON) == ({person.pk}, set())
    go_on.set()
    thread.join()
    assert inbox.store([entry], timeout_seconds=5, now=NOON) == ({person.pk}, set())
    assert InboxMessage.objects.count() == 0
