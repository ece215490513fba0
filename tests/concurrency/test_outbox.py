"""Many workers on one outbox, on connections of their own."""

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor, wait
from datetime import timedelta

import pytest
from django.db import connection, transaction

from campaigns import fanout, lifecycle, rails, runs, transactional
from delivery import control_rows, erasure, outbox, reaping, suppression
from delivery.channels import registry
from delivery.dispatch import dispatch
from delivery.drafts import TryLater
from delivery.models import Cap, Message, Preference, RunHold, SendAttempt
from delivery.outbox import Planned
from delivery.policy import Allow
from engage.lib.ids import uuid7
from engage.profiles.models import Consent
from tests.concurrency.test_inbox import in_thread, wait_until_somebody_waits
from tests.delivery.sending import (
    RecordingChannel,
    claim,
    compose_for,
    end_leases,
    mark,
    record,
    use_channel,
)
from tests.factories import NOON, make_campaign, make_message, make_profile, make_run

pytestmark = pytest.mark.django_db(transaction=True)
WORKERS = 4


def plan(count: int) -> dict[int, str]:
    addresses = {}
    for n in range(count):
        person = make_profile(email=f"p{n}@shop.example", opted_in=("email",))
        make_message(profile=person, run_id=4)
        addresses[person.pk] = f"p{n}@shop.example"
    return addresses


def at_once(work, *, workers: int = WORKERS) -> list:
    """What each worker returned; all begin together, each closes its connection."""
    start = threading.Barrier(workers)

    def run(number: int):
        start.wait(10)
        try:
            return work(number)
        finally:
            connection.close()

    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(run, range(workers)))


def test_two_claimers_never_get_the_same_row():
    plan(60)

    def take(number: int) -> list:
        mine = []
        while batch := claim(limit=7):
            mine += [message.id for message in batch]
        return mine

    taken = Counter(i for mine in at_once(take) for i in mine)
    assert len(taken) == 60
    assert set(taken.values()) == {1}


def test_many_workers_send_each_message_once_and_the_sum_always_holds():
    addresses = plan(80)
    channels, sums = [], []

    def work(number: int) -> None:
        channel = use_channel(RecordingChannel())
        channel.before_answering = lambda drafts: sums.append(sum(outbox.count_states(4).values()))
        channels.append(channel)
        while dispatch(
            channel="email", compose=compose_for(addresses), limit=15, now=NOON
        ).claimed:
            reaping.reap(NOON)
        registry.forget_channels()

    at_once(work)
    sent = Counter(address for channel in channels for address in channel.addresses)
    assert sent == Counter(addresses.values())
    assert set(sums) == {80}
    assert outbox.count_states(4)["accepted"] == 80
    assert SendAttempt.objects.count() == 80


def test_a_worker_that_wakes_after_its_lease_calls_nobody():
    plan(10)
    stalled = claim()
    end_leases()
    reaping.reap(NOON)
    taken = claim()
    assert len(taken) == 10
    assert mark(stalled) == [None] * 10
    assert mark(taken) == [Allow(1)] * 10


@pytest.mark.parametrize("first", ["answer", "finish"])
def test_a_late_answer_never_opens_a_run_that_is_being_finished(first):
    """Each waits, uncommitted, for the other to have tried: whoever was first decides."""
    run = make_run(campaign=make_campaign(state="active"), at=NOON, state="sending")
    plan(3)
    Message.objects.update(run_id=run.pk)
    messages = claim()
    mark(messages)
    end_leases()
    reaping.reap(NOON)

    def answer(number: int) -> None:
        for message in messages:
            record(message, TryLater("503"))

    def finish(number: int) -> int:
        return runs.finish_done(NOON)

    if first == "answer":
        with transaction.atomic():
            answer(0)
            assert at_once(finish, workers=1) == [0]  # it sees nothing open, and rows in work
        assert runs.finish_done(NOON) == 0
        assert outbox.count_states(run.pk)["planned"] == 3
    else:
        with ThreadPoolExecutor(1) as pool:
            with transaction.atomic():
                assert finish(0) == 1
                late = pool.submit(at_once, answer, workers=1)
                assert not wait([late], timeout=0.5).done  # for the end of this transaction
            late.result(10)
        run.refresh_from_db()
        assert run.state == "finished"
        assert outbox.count_states(run.pk)["failed"] == 3


def test_late_answers_and_the_end_of_a_run_in_any_order_leave_no_finished_run_open():
    addresses = plan(60)
    run = make_run(campaign=make_campaign(state="active"), at=NOON, state="sending")
    Message.objects.update(run_id=run.pk)
    messages = claim()
    mark(messages)
    end_leases()
    reaping.reap(NOON)

    def work(number: int) -> None:
        for message in messages[number :: WORKERS - 1] if number < WORKERS - 1 else ():
            record(message, TryLater("503"))
        if number == WORKERS - 1:
            for _ in range(30):
                runs.finish_done(NOON)

    at_once(work)
    run.refresh_from_db()
    counts = outbox.count_states(run.pk)
    assert counts["planned"] + counts["failed"] == len(addresses)
    assert run.state == ("sending" if counts["planned"] else "finished")


def test_cancelling_while_workers_mark_never_deadlocks_and_never_sends_after():
    addresses = plan(60)
    cancelled = threading.Event()
    late = []

    def work(number: int) -> None:
        if number == 0:
            with transaction.atomic():
                outbox.cancel_run(4, NOON)
            cancelled.set()
            return
        while messages := claim(limit=5):
            was_cancelled = cancelled.is_set()
            decisions = mark(messages)
            if was_cancelled:
                late.extend(d for d in decisions if isinstance(d, Allow))

    at_once(work)
    reaping.reap(NOON)
    counts = outbox.count_states(4)
    assert late == []
    assert counts["cancelled"] + counts["attempting"] == len(addresses)


def test_a_mark_and_the_erasing_of_a_person_never_wait_for_each_other():
    person = make_profile(email="ann@shop.example", opted_in=("email",))
    first = make_message(profile=person, not_before=NOON)
    make_message(profile=person, not_before=NOON - timedelta(minutes=1), run_id=2)  # claimed first
    messages, decisions = claim(), []
    with transaction.atomic():
        Message.objects.select_for_update().get(id=first.id)
        eraser = in_thread(lambda: erasure.erase(person.pk))
        wait_until_somebody_waits()
        marker = in_thread(lambda: decisions.extend(mark(messages)))
        wait_until_somebody_waits(how_many=2)
    eraser.join(10)
    marker.join(10)
    assert decisions == [None, None]
    assert list(Message.objects.values_list("reason", flat=True)) == ["erased", "erased"]


def test_a_run_that_stops_itself_never_waits_for_who_cancels_it(monkeypatch):
    """While it is being planned; whoever cancels has the campaign first, and its runs then."""
    make_profile(), make_profile()
    campaign = make_campaign(state="active", most_people=1)
    run, stop, threads = make_run(campaign=campaign, at=NOON), rails.stop, []

    def stop_later(*args, **fields):
        threads.append(in_thread(lambda: lifecycle.cancel(campaign, now=NOON)))
        wait_until_somebody_waits()
        return stop(*args, **fields)

    monkeypatch.setattr(rails, "stop", stop_later)
    assert not fanout.plan_chunk(run.pk, now=NOON, limit=10)
    threads[0].join(10)
    run.refresh_from_db()
    assert (run.state, run.stopped_because) == (
        "cancelled", "more people than expected: 2 so far",
    )  # fmt: skip


@pytest.mark.parametrize("deed", ["withdraw", "suppress", "pause"])
def test_what_was_committed_before_the_mark_began_is_obeyed(deed):
    """The deed is committed on another connection, between the claim and the mark."""
    plan(1)
    [message] = claim()

    def do(number: int) -> None:
        if deed == "withdraw":
            Consent.objects.update(status="opted_out")
        elif deed == "suppress":
            suppression.suppress("ann@shop.example", channel="email", reason="manual")
        else:
            outbox.hold_run(4, state=RunHold.State.PAUSED)

    at_once(do, workers=1)
    assert not any(isinstance(decision, Allow) for decision in mark([message]))
    assert Message.objects.get().attempt == 0


def test_two_reapers_return_each_row_once():
    plan(40)
    claim()
    end_leases()
    reaped = at_once(lambda number: reaping.reap(NOON).returned)
    assert sum(reaped) == 40


def test_two_planners_of_the_same_messages_write_them_once():
    person = make_profile()
    keys = [make_message(profile=person, run_id=5).key for _ in range(20)]
    Message.objects.all().delete()
    planned = at_once(lambda number: outbox.plan([unsaved(person.pk, key) for key in keys]))
    assert sum(planned) == 20


def unsaved(profile_id: int, key) -> Planned:
    return Planned(
        profile_id=profile_id, id=uuid7(), key=key, kind="campaign", campaign_id=1, run_id=None,
        variant_id=1, channel="email", address_id="", topic="", priority=50, quiet="hold",
        not_before=NOON, expires_at=NOON, created_at=NOON,
    )  # fmt: skip


def test_workers_at_once_never_let_more_through_than_the_cap():
    Cap.objects.create(name="two a day", most=2)
    people = [make_profile(email=f"p{n}@shop.example", opted_in=("email",)) for n in range(10)]
    for run_id in range(1, 9):
        for person in people:
            make_message(profile=person, run_id=run_id, campaign_id=run_id)
    addresses = {person.pk: person.attributes["email"] for person in people}

    def work(number: int) -> None:
        use_channel(RecordingChannel())
        for minute in range(10):  # those that wait for a better one ask again
            now = NOON + timedelta(minutes=minute)
            while dispatch(
                channel="email", compose=compose_for(addresses), limit=7, now=now
            ).claimed:
                pass

    at_once(work)
    states = Message.objects.values_list("profile_id", "state")
    assert Counter(states) == {
        (person.pk, state): count
        for person in people
        for state, count in (("accepted", 2), ("suppressed", 6))
    }


@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize("deed", ["pause", "cap"])
def test_what_is_committed_while_a_mark_waits_for_another_is_obeyed(own, deed):
    """Two marks for one person; the first holds the person, for its caps or their own maximum."""
    person = make_profile(email="ann@shop.example", opted_in=("email",))
    make_message(profile=person, run_id=3, state="accepted", marked_at=NOON)
    make_message(profile=person, run_id=4)
    if own:
        Preference.objects.create(profile_id=person.pk, most_a_week=9, stated_at=NOON)
    else:
        Cap.objects.create(name="nine a day", most=9)
    messages, decisions = claim(), []
    with transaction.atomic():
        control_rows._lock([person.pk])
        marker = in_thread(lambda: decisions.extend(mark(messages)))
        wait_until_somebody_waits()
        in_thread(lambda: change_their_mind(person.pk, deed, own=own)).join(10)
    marker.join(10)
    assert len(decisions) == 1
    assert not isinstance(decisions[0], Allow)


def change_their_mind(profile_id: int, deed: str, *, own: bool) -> None:
    if deed == "cap" and not own:
        Cap.objects.create(name="one a day", most=1)
        return
    wish = {"most_a_week": 1} if deed == "cap" else {"paused_until": NOON + timedelta(days=1)}
    Preference.objects.update_or_create(
        profile_id=profile_id, defaults=wish | {"stated_at": NOON + timedelta(hours=1)}
    )


def test_two_equal_wishes_at_once_are_one_message():
    person = make_profile(email="ann@shop.example")
    campaign = make_campaign(schedule="api")
    lifecycle.launch(campaign, now=NOON)

    def ask(number: int) -> bool:
        wish = {"key": "order-17", "properties": {"order": 17}}
        return transactional.ask(campaign.pk, person.pk, **wish, now=NOON).repeated

    assert sorted(at_once(ask)) == [False] + [True] * (WORKERS - 1)
    assert Message.objects.count() == 1
