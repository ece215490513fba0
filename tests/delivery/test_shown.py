from datetime import timedelta

import pytest
from django.db import connection

from delivery import interactions, shown
from delivery.interactions import Deed, Kind
from delivery.shown import Showings, describe, list_shown
from engage.lib.clock import to_millis
from engage.lib.ids import uuid7
from engage.profiles.models import Merge
from tests.factories import NOON, make_message, make_profile

pytestmark = pytest.mark.django_db


@pytest.fixture
def ann():
    return make_profile()


def show(profile, *items, days_ago=1, run_id=None, **fields):
    at = NOON - timedelta(days=days_ago)
    records = [{"item": item, "price": price} for item, price in items]
    return make_message(
        profile=profile, now=at, run_id=run_id, items=records,
        **({"id": uuid7(to_millis(at)), "state": "accepted", "finished_at": at} | fields),
    )  # fmt: skip


def click(message, item, *, days_ago, machine=False):
    at = NOON - timedelta(days=days_ago)
    interactions.add([Deed(interactions.about(message), Kind.CLICK, at, item, machine=machine)])


def ms(days_ago):
    return to_millis(NOON - timedelta(days=days_ago))


def ask(*profiles):
    return list_shown([one and one.pk for one in profiles], now=NOON)


def test_showings_come_newest_first_with_their_prices(ann):
    show(ann, ("p1", "9.90"), days_ago=3)
    show(ann, ("p1", "8.50"), ("p2", None), days_ago=1, channel="push")
    assert ask(ann) == [
        {"p1": Showings([(ms(1), 8.5), (ms(3), 9.9)], 0), "p2": Showings([(ms(1), None)], 0)}
    ]


def test_everybody_has_their_own_and_nobody_none(ann):
    bob = make_profile()
    show(ann, ("p1", "1.00"))
    show(bob, ("p2", "1.00"))
    assert [list(one) for one in ask(bob, None, ann)] == [["p2"], [], ["p1"]]
    assert ask(None) == [{}]


@pytest.mark.parametrize("state", ["planned", "suppressed", "failed", "unknown"])
def test_what_no_provider_took_was_not_shown(ann, state):
    show(ann, ("p1", "1.00"), state=state, finished_at=None)
    assert ask(ann) == [{}]


def test_test_messages_do_not_count(ann):
    show(ann, ("p1", "1.00"), kind="test")
    assert ask(ann) == [{}]


def test_devices_of_one_run_are_one_showing(ann):
    for device in ("phone", "tablet"):
        show(ann, ("p1", "1.00"), run_id=4, channel="push", address_id=device)
    show(ann, ("p1", "1.00"), run_id=5, days_ago=2)
    assert len(ask(ann)[0]["p1"].times) == 2


def test_what_was_shown_less_often_than_asked_for_is_left_out(ann):
    for run in range(3):
        show(ann, ("p1", "1.00"), ("p2" if run else "p3", "1.00"), run_id=run, days_ago=run)
    [found] = list_shown([ann.pk], at_least=2, now=NOON)
    assert {item: len(one.times) for item, one in found.items()} == {"p1": 3, "p2": 2}


def test_last_click_of_a_person_is_known(ann):
    message = show(ann, ("p1", "1.00"), days_ago=5)
    click(message, "p1", days_ago=4)
    click(message, "p2", days_ago=1)
    click(message, "p1", days_ago=0, machine=True)
    assert ask(ann)[0]["p1"].clicked_ms == ms(4)


def test_showings_to_the_profiles_they_were_before_count(ann):
    loser, first = make_profile(), make_profile()
    Merge.objects.create(winner_id=ann.pk, loser_id=loser.pk, reason="test")
    Merge.objects.create(winner_id=loser.pk, loser_id=first.pk, reason="test")
    click(show(first, ("p1", "1.00"), days_ago=3), "p1", days_ago=2)
    show(loser, ("p1", "1.00"), days_ago=1)
    [found] = ask(ann)
    assert (len(found["p1"].times), found["p1"].clicked_ms) == (2, ms(2))


def test_a_slot_that_found_too_few_showed_nothing(ann):
    too_few = {"slot": "picks", "short": "drop_block", "found": 1, "needed": 2}
    make_message(profile=ann, state="accepted", items=[too_few])
    assert ask(ann) == [{}]


def test_only_the_newest_messages_of_a_person_are_read(ann, monkeypatch):
    monkeypatch.setattr(shown, "MOST_MESSAGES", 2)
    for number in range(3):
        show(ann, (f"p{number}", "1.00"), run_id=number, days_ago=3 - number)
    assert sorted(ask(ann)[0]) == ["p1", "p2"]


@pytest.mark.parametrize("query", [shown.MESSAGES, shown.CLICKS])
def test_rows_are_found_by_an_index_that_begins_with_the_person(ann, query):
    asked = {"profiles": [ann.pk], "oldest": uuid7(0), "most": 9}
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")  # tables of tests are too small to index
        # An index may have grown by rows of other tests, and sorting no row costs nothing.
        cursor.execute("SET LOCAL enable_sort = off")
        cursor.execute("ANALYZE")  # what is known of them may be of another test
        cursor.execute(f"EXPLAIN {query}", asked)
        plan = "\n".join(row[0] for row in cursor.fetchall())
    assert "_pkey" in plan
    assert "Index Cond: ((profile_id = owner.id) AND (id >=" in plan
    assert "Seq Scan" not in plan


def test_record_of_a_message_in_one_line():
    too_few = {"slot": "more", "short": "drop_block", "found": 1, "needed": 2}
    assert describe([{"item": "p1"}, {"item": "p2"}, too_few]) == "p1, p2 · more: 1 of 2 needed"
    assert describe([{"aborted": "no stock"}]) == "aborted: no stock"
    assert describe([]) == describe(None) == ""
