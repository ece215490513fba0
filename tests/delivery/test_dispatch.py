from datetime import timedelta
from weakref import WeakSet

import pytest
import redis
from celery.exceptions import SoftTimeLimitExceeded
from django.db import OperationalError, connection, transaction

from delivery import dispatch as dispatching
from delivery import marking, outbox, rates, reaping, suppression
from delivery.channels import registry
from delivery.drafts import Accepted, Refused, TryLater, Unknown
from delivery.errors import ChannelUnavailable
from delivery.models import ChannelPause, Message, RunHold, SendAttempt
from delivery.policy import Drop
from engage.profiles.models import Consent, Device
from tests.delivery.sending import (
    RecordingChannel,
    compose_for,
    end_leases,
    make_draft,
    use_channel,
)
from tests.factories import NOON, make_message, make_profile

pytestmark = pytest.mark.django_db


@pytest.fixture
def channel():
    yield use_channel(RecordingChannel())
    registry.forget_channels()
    dispatching.fits.clear()


def people(*names: str, **fields: object) -> dict[int, str]:
    """Address by profile, each with a planned e-mail."""
    addresses = {}
    for name in names:
        person = make_profile(email=f"{name}@shop.example", opted_in=("email",))
        make_message(profile=person, **({"run_id": 4} | fields))
        addresses[person.pk] = f"{name}@shop.example"
    return addresses


def send(compose, *, limit: int = 100, now=NOON, name: str = "email", **fields):
    return dispatching.dispatch(channel=name, compose=compose, limit=limit, now=now, **fields)


def states() -> dict[str, int]:
    return {state: n for state, n in outbox.count_states(4).items() if n}


def test_everybody_gets_one_message(channel):
    addresses = people(*(f"p{n}" for n in range(25)))
    report = send(compose_for(addresses))
    assert sorted(channel.addresses) == sorted(addresses.values())
    assert [len(call) for call in channel.calls] == [10, 10, 5]
    assert (report.claimed, dict(report.states)) == (25, {"accepted": 25})
    assert states() == {"accepted": 25}
    assert SendAttempt.objects.filter(outcome="accepted").count() == 25
    assert send(compose_for(addresses)).claimed == 0


def test_outcomes_are_recorded_each_in_its_way(channel):
    addresses = people("ok", "no", "later", "silent")
    channel.answers = {
        "no@shop.example": Refused("smtp 550"),
        "later@shop.example": TryLater("smtp 450"),
        "silent@shop.example": Unknown("no_answer"),
    }
    report = send(compose_for(addresses))
    assert states() == {"accepted": 1, "failed": 1, "planned": 1, "unknown": 1}
    assert dict(report.states) == states()
    assert report.reasons["smtp 550"] == 1


def test_the_composer_may_drop_a_message_with_its_reason(channel):
    addresses = people("ann", "bob")

    def compose(messages):
        return [
            Drop("slot_short")
            if addresses[m.profile_id].startswith("ann")
            else make_draft(m, address=addresses[m.profile_id])
            for m in messages
        ]

    report = send(compose)
    assert channel.addresses == ["bob@shop.example"]
    assert dict(report.reasons) == {"slot_short": 1}
    assert Message.objects.get(state="suppressed").reason == "slot_short"


def test_what_was_found_too_few_stands_in_the_row_of_the_dropped_message(channel):
    people("ann")
    too_few = {"slot": "picks", "short": "drop_message", "found": 1, "needed": 2}
    send(lambda messages: [Drop("slot_short", [too_few]) for _ in messages])
    row = Message.objects.get()
    assert (row.state, row.reason, row.items) == ("suppressed", "slot_short", [too_few])


def test_a_message_that_cannot_be_composed_fails_alone(channel):
    addresses = people(*(f"p{n}" for n in range(9)))
    poisoned = sorted(addresses)[3]

    def compose(messages):
        if any(m.profile_id == poisoned for m in messages):
            raise ZeroDivisionError("a template of somebody")
        return compose_for(addresses)(messages)

    send(compose)
    assert states() == {"accepted": 8, "failed": 1}
    assert Message.objects.get(state="failed").reason == "compose_failed"


@pytest.mark.parametrize("names", [["ann"], ["ann", "bob"], ["ann", "bob", "cleo"]])
def test_when_the_time_of_the_task_ends_while_composing_the_messages_go_back(channel, names):
    people(*names)

    def compose(messages):
        raise SoftTimeLimitExceeded

    with pytest.raises(SoftTimeLimitExceeded):
        send(compose)
    assert states() == {"planned": len(names)}
    assert Message.objects.filter(lease_token=None, reason="").count() == len(names)
    assert dispatching.fits == {"email": 1}  # half of them, next time


class Died(BaseException):
    """Stands in for the end of the process."""


def test_a_message_that_kills_its_process_is_out_after_five_times_and_all_others_went(
    channel, monkeypatch
):
    addresses = people(*(f"p{n}" for n in range(64)))
    poisoned = sorted(addresses)[30]
    monkeypatch.setattr(dispatching.Chunk, "give_back", lambda chunk: None)  # the dead do nothing
    died_with = []

    def compose(messages):
        if any(m.profile_id == poisoned for m in messages):
            died_with.append(len(messages))
            raise Died
        return compose_for(addresses)(messages)

    more = True
    while more:
        try:
            more = send(compose, limit=64).more
        except Died:
            end_leases()
            reaping.reap(NOON)
    assert died_with == [64, 8, 1, 1, 1]
    assert states() == {"accepted": 63, "failed": 1}
    assert Message.objects.get(state="failed").reason == "quarantined"
    assert sorted(channel.addresses) == sorted(
        address for person, address in addresses.items() if person != poisoned
    )


@pytest.mark.parametrize(
    "error",
    [OperationalError("gone"), redis.ConnectionError("refused"), redis.TimeoutError("slow"),
     redis.BusyLoadingError("loading"), redis.ResponseError("LOADING Redis is loading")],
)  # fmt: skip
def test_a_store_that_is_away_while_composing_gives_everything_back(channel, error):
    people("ann", "bob")

    def compose(messages):
        raise error

    with pytest.raises(type(error)):
        send(compose)
    assert states() == {"planned": 2}
    assert Message.objects.filter(lease_token__isnull=True).count() == 2


def test_redis_that_dies_after_the_claim_gives_everything_back(channel, monkeypatch):
    addresses = people("ann", "bob")

    def die(granted, used):
        raise redis.ConnectionError("gone")

    monkeypatch.setattr(rates, "give_back", die)
    with pytest.raises(redis.ConnectionError):
        send(compose_for(addresses))
    assert states() == {"planned": 2}


@pytest.mark.django_db(transaction=True)
def test_answers_outlive_a_deadlock_of_their_record(channel, monkeypatch):
    channel.answers = {"gone@shop.example": Refused("smtp 550", gone=True)}
    addresses, real, failures = people("ann", "gone"), dispatching.retire, [1]

    def deadlock_once(message, address, refused, *, now):
        real(message, address, refused, now=now)
        if failures:
            failures.pop()
            raise OperationalError("deadlock detected")

    monkeypatch.setattr(dispatching, "retire", deadlock_once)
    report = send(compose_for(addresses))
    assert states() == {"accepted": 1, "failed": 1}
    assert (report.fenced, len(channel.calls), SendAttempt.objects.count()) == (0, 1, 2)
    assert suppression.is_suppressed("gone@shop.example", channel="email")


@pytest.mark.django_db(transaction=True)
def test_answers_outlive_a_connection_that_has_the_plan_of_somebody_else(channel, monkeypatch):
    """As behind a pooler, which gives us the server's end of another worker."""
    addresses = people("ann", "bob")
    monkeypatch.setattr(marking.RECORD, "planned", WeakSet())
    monkeypatch.setattr(marking.RECORD, "unfit", WeakSet())
    name = marking.RECORD.execute.split()[1]
    with connection.cursor() as cursor:
        cursor.execute(f"DEALLOCATE ALL; PREPARE {name} AS SELECT 1")
    monkeypatch.setattr(marking.MARK, "planned", WeakSet())
    send(compose_for(addresses))
    assert (states(), len(channel.calls)) == ({"accepted": 2}, 1)
    connection.close()


@pytest.mark.parametrize("deed", ["withdraw", "suppress", "pause", "cancel"])
def test_what_forbids_between_composing_and_the_mark_is_obeyed(channel, deed):
    addresses = people("ann")

    def compose(messages):
        if deed == "withdraw":
            Consent.objects.update(status="opted_out")
        elif deed == "suppress":
            suppression.suppress("ann@shop.example", channel="email", reason="manual")
        elif deed == "pause":
            outbox.hold_run(4, state=RunHold.State.PAUSED)
        else:
            outbox.cancel_run(4, NOON)
        return compose_for(addresses)(messages)

    send(compose)
    assert channel.calls == []
    assert states() == {
        "withdraw": {"suppressed": 1}, "suppress": {"suppressed": 1}, "pause": {"planned": 1},
        "cancel": {"cancelled": 1},
    }[deed]  # fmt: skip


def test_a_pause_between_two_batches_stops_the_second(channel):
    addresses = people(*(f"p{n}" for n in range(15)))
    channel.before_answering = lambda drafts: outbox.hold_run(4, state=RunHold.State.PAUSED)
    send(compose_for(addresses))
    assert states() == {"accepted": 10, "planned": 5}


def test_an_unavailable_provider_pauses_its_channel_and_costs_one_batch_an_attempt(channel):
    addresses = people(*(f"p{n}" for n in range(25)))
    channel.send = lambda drafts: (_ for _ in ()).throw(
        ChannelUnavailable("refused", retry_after_seconds=90)
    )
    report = send(compose_for(addresses))
    assert report.problem == "refused"
    assert states() == {"planned": 25}
    assert Message.objects.filter(attempt=1).count() == 10
    pause = ChannelPause.objects.get().until
    assert timedelta(seconds=90) <= pause - NOON < timedelta(seconds=95)
    assert send(compose_for(addresses), now=NOON + timedelta(seconds=60)).claimed == 0


def test_a_refused_neighbour_does_not_keep_an_absent_provider_busy(channel):
    addresses = people(*(f"p{n}" for n in range(15)))
    away = dict.fromkeys(addresses.values(), TryLater("unavailable", everybody=True))
    channel.answers = away | {"p0@shop.example": Refused("invalid_address")}
    send(compose_for(addresses))
    assert [len(call) for call in channel.calls] == [10]
    assert ChannelPause.objects.get().reason == "unavailable"
    assert Message.objects.filter(attempt=0).count() == 5


def test_a_provider_that_let_all_its_time_pass_pauses_its_channel(channel):
    addresses = people(*(f"p{n}" for n in range(15)))
    channel.answers = dict.fromkeys(addresses.values(), Unknown("timeout", everybody=True))
    send(compose_for(addresses))
    assert [len(call) for call in channel.calls] == [10]
    assert ChannelPause.objects.get().reason == "timeout"
    assert states() == {"unknown": 10, "planned": 5}


def test_a_slow_provider_that_took_somebody_goes_on(channel):
    addresses = people(*(f"p{n}" for n in range(15)))
    silent = dict.fromkeys(addresses.values(), TryLater("no_time", everybody=True))
    channel.answers = silent | {
        "p0@shop.example": Accepted("1"),
        "p14@shop.example": Accepted("2"),
    }
    send(compose_for(addresses))
    assert [len(call) for call in channel.calls] == [10, 5]
    assert ChannelPause.objects.count() == 0


def test_one_recipient_to_be_tried_later_pauses_nobody(channel):
    addresses = people("ann")
    channel.answers = {"ann@shop.example": TryLater("smtp 450")}
    send(compose_for(addresses))
    assert ChannelPause.objects.count() == 0


def test_a_channel_that_breaks_leaves_unknown_and_is_not_called_again_for_them(channel):
    addresses = people("ann")
    channel.answers = {"ann@shop.example": RuntimeError("a bug")}
    send(compose_for(addresses))
    assert states() == {"unknown": 1}
    assert send(compose_for(addresses), now=NOON + timedelta(hours=5)).claimed == 0


def test_a_gone_address_is_suppressed(channel):
    addresses = people("ann")
    channel.answers = {"ann@shop.example": Refused("smtp 550 5.1.1", gone=True)}
    send(compose_for(addresses))
    assert suppression.is_suppressed("ann@shop.example", channel="email")


@pytest.mark.parametrize(
    ("later_ms", "retired"), [(None, True), (0, True), (60_000, True), (-60_000, False)]
)
def test_a_gone_token_retires_its_device_unless_it_was_told_since(later_ms, retired):
    push = use_channel(RecordingChannel(), name="push")
    person = make_profile(push_token="t")
    make_message(profile=person, channel="push", address_id=f"d{person.pk}", run_id=4)
    told_ms = Device.objects.get().token_ms
    gone_ms = None if later_ms is None else told_ms + later_ms
    push.answers = {"t": Refused("unregistered", gone=True, gone_ms=gone_ms)}
    send(compose_for({person.pk: "t"}), name="push")
    registry.forget_channels()
    assert (Device.objects.get().gone_at is not None) is retired
    assert states() == {"failed": 1}


def test_a_worker_that_lost_its_lease_sends_nothing(channel):
    addresses = people("ann")

    def compose(messages):
        Message.objects.update(lease_until=NOON - timedelta(days=999))
        reaping.reap(NOON)
        return compose_for(addresses)(messages)

    send(compose)
    assert channel.calls == []
    assert states() == {"planned": 1}


def test_an_answer_after_the_lease_resolves_the_unknown(channel):
    addresses = people("ann")

    def late(drafts):
        Message.objects.update(lease_until=NOON - timedelta(days=999))
        reaping.reap(NOON)
        assert states() == {"unknown": 1}

    channel.before_answering = late
    send(compose_for(addresses))
    assert states() == {"accepted": 1}


def test_the_next_batch_needs_enough_of_the_lease(channel, settings):
    settings.SEND_LEASE_SECONDS = 20  # a call of 15 and its margin need more
    addresses = people("ann")
    report = send(compose_for(addresses))
    assert report.problem == "the lease is nearly over"
    assert channel.calls == []
    assert states() == {"planned": 1}


def test_what_is_slow_to_compose_goes_in_smaller_chunks_until_it_is_fast(
    channel, settings, monkeypatch
):
    """Eight at once would take longer than a lease, again and again."""
    settings.SEND_LEASE_SECONDS, settings.PROVIDER_TIMEOUT_SECONDS = 60, 15
    moment, each, sizes = [0.0], [10.0], []

    class Clock(dispatching.Clock):
        def now(self):
            return self.start + timedelta(seconds=moment[0] - self.started)

    monkeypatch.setattr(dispatching, "Clock", lambda now: Clock(now, moment[0]))
    addresses = people(*(f"p{n}" for n in range(14)))

    def compose(messages):
        sizes.append(len(messages))
        moment[0] += each[0] * len(messages)
        return compose_for(addresses)(messages)

    for _ in range(4):
        send(compose, limit=8)
    assert (sizes, states()) == ([8, 4, 2, 2], {"accepted": 4, "planned": 10})
    each[0] = 0.1
    for _ in range(3):
        send(compose, limit=8)
    assert sizes[4:] == [2, 4, 4]
    assert states() == {"accepted": 14}


def test_a_chunk_ends_before_its_task_however_long_the_lease(channel, settings, monkeypatch):
    settings.SEND_LEASE_SECONDS = 3_600
    monkeypatch.setattr(dispatching, "LONGEST_CHUNK_SECONDS", 1.0)
    report = send(compose_for(people("ann")))
    assert (channel.calls, report.problem) == ([], "the lease is nearly over")
    assert states() == {"planned": 1}


def test_only_the_run_that_was_asked_for_is_sent(channel):
    addresses = people("ann") | people("bob", run_id=5)
    send(compose_for(addresses), run_id=5)
    assert channel.addresses == ["bob@shop.example"]


def test_an_unconfigured_channel_claims_nothing(settings):
    registry.forget_channels()
    settings.SMTP_URL = ""
    people("ann")
    report = send(lambda messages: [])
    assert report.problem.startswith("ENGAGE_SMTP_URL is not set")
    assert states() == {"planned": 1}


@pytest.mark.django_db(transaction=True)
def test_the_network_is_never_called_inside_a_transaction(channel):
    addresses = people("ann")
    with pytest.raises(RuntimeError, match="durable"), transaction.atomic():
        send(compose_for(addresses))
    assert channel.calls == []


def test_the_sum_holds_at_every_call(channel):
    addresses = people(*(f"p{n}" for n in range(30)))
    sums = []
    channel.before_answering = lambda drafts: sums.append(sum(outbox.count_states(4).values()))
    channel.answers = {"p3@shop.example": Refused("x"), "p7@shop.example": Unknown("y")}
    send(compose_for(addresses))
    assert sums == [30, 30, 30]
