from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from delivery import claiming, marking, outbox, policy, reaping, receipts
from delivery.drafts import Accepted, Refused, TryLater, Unknown
from delivery.models import Message, RunHold, SendAttempt
from delivery.outbox import Planned
from delivery.policy import Allow, Defer, Drop
from delivery.results import judge
from engage.lib.ids import uuid7
from tests.delivery.sending import claim, end_leases, make_draft, mark, record
from tests.factories import NOON, make_message, make_profile

pytestmark = pytest.mark.django_db


def planned(**fields: object) -> Message:
    return make_message(
        profile=make_profile(email="ann@shop.example", opted_in=("email",)), **fields
    )


def attempting(**fields: object) -> Message:
    planned(**fields)
    [message] = claim()
    assert mark([message]) == [Allow(1)]
    return message


def state_of(message: Message) -> tuple[str, str]:
    row = Message.objects.get(profile_id=message.profile_id, id=message.id)
    return row.state, row.reason


def unsaved(profile_id: int, *, key=None) -> Planned:
    return Planned(
        profile_id=profile_id, id=uuid7(), key=key or uuid4(), kind="campaign", campaign_id=3,
        run_id=4, variant_id=5, channel="email", address_id='the "old" \\ phone', topic="news",
        priority=50, quiet="hold", not_before=NOON, expires_at=NOON + timedelta(hours=1),
        created_at=NOON,
    )  # fmt: skip


def test_planning_twice_writes_once():
    messages = [unsaved(1), unsaved(2)]
    assert outbox.plan(messages) == 2
    assert outbox.plan([unsaved(1, key=messages[0].key), unsaved(3)]) == 1
    assert Message.objects.count() == 3
    row = Message.objects.get(profile_id=1)
    assert tuple(getattr(row, name) for name in Planned._fields) == messages[0]
    assert (row.state, row.reason, row.attempt, row.items) == ("planned", "", 0, [])


def test_planning_nothing_is_nothing():
    assert outbox.plan([]) == 0


def test_claim_leases_under_one_token_and_says_what_a_composer_needs():
    wanted = [planned(topic="news"), planned(address_id="d1")]
    messages = claim()
    assert {m.id for m in messages} == {m.id for m in wanted}
    assert len({m.lease_token for m in messages}) == 1
    assert {(m.state, m.campaign_id, m.variant_id, m.channel) for m in messages} == {
        ("leased", 1, 1, "email")
    }
    assert {(m.topic, m.address_id) for m in messages} == {("news", ""), ("", "d1")}
    assert claim() == []


def test_claim_takes_the_longest_waiting_first_up_to_its_limit():
    late = planned(not_before=NOON - timedelta(minutes=1), run_id=7)
    early = planned(not_before=NOON - timedelta(minutes=5), run_id=9)
    assert [m.id for m in claim(limit=1)] == [early.id]
    assert [m.id for m in claim(limit=1)] == [late.id]


def test_what_somebody_waits_for_goes_before_a_backlog_and_leaves_it_the_rest():
    backlog = [planned(run_id=1, not_before=NOON - timedelta(hours=1)) for _ in range(3)]
    triggered = planned(run_id=2, kind="triggered", not_before=NOON - timedelta(minutes=2))
    test = planned(run_id=None, kind="test", not_before=NOON - timedelta(minutes=1))
    asked = planned(run_id=3, kind="transactional")
    assert outbox.list_due_runs("email", now=NOON) == [
        (None, test.not_before), (3, NOON), (2, triggered.not_before), (1, backlog[0].not_before),
    ]  # fmt: skip
    assert {m.id for m in claim(limit=2)} == {test.id, asked.id}
    claimed = {m.id for m in claim(limit=2)}
    assert triggered.id in claimed
    assert len(claimed & {m.id for m in backlog}) == 1
    assert len(claim(limit=100)) == 2


def test_claim_leaves_what_is_not_due_and_other_channels_and_runs():
    planned(not_before=NOON + timedelta(seconds=1))
    planned(channel="push")
    planned(run_id=8)
    assert claim(run_id=9) == []


def test_claim_finds_messages_without_a_run():
    message = planned(run_id=None, kind="test")
    assert [m.id for m in claim()] == [message.id]


def test_claim_closes_the_expired_and_goes_on_to_the_living():
    dead = [planned(expires_at=NOON, not_before=NOON - timedelta(hours=1)) for _ in range(3)]
    alive = planned()
    assert [m.id for m in claim(limit=2)] == [alive.id]
    assert {state_of(m) for m in dead} == {("expired", "expired")}


def test_claim_closes_no_more_of_the_expired_than_a_transaction_should(monkeypatch):
    monkeypatch.setattr(claiming, "SWEEP", 2)
    for _ in range(6):
        planned(expires_at=NOON, not_before=NOON - timedelta(hours=1))
    alive = planned()
    assert claim(limit=1) == []
    assert Message.objects.filter(state="expired").count() == 3
    assert claim(limit=1) == []
    assert [m.id for m in claim(limit=1)] == [alive.id]


def test_a_held_run_is_not_claimed_until_it_is_freed():
    message = planned(run_id=4)
    outbox.hold_run(4, state=RunHold.State.PAUSED)
    assert claim() == []
    outbox.free_run(4)
    assert [m.id for m in claim()] == [message.id]


def test_a_pausing_channel_is_not_claimed():
    planned()
    outbox.pause_channel("email", until=NOON + timedelta(seconds=30), reason="unavailable")
    outbox.pause_channel("email", until=NOON + timedelta(seconds=10), reason="shorter")
    assert claim(now=NOON + timedelta(seconds=20)) == []
    assert len(claim(now=NOON + timedelta(seconds=30))) == 1


def test_mark_allows_once():
    planned()
    [message] = claim()
    assert mark([message]) == [Allow(1)]
    assert mark([message]) == [None]
    assert state_of(message) == ("attempting", "")


def test_mark_needs_the_token_of_the_lease():
    planned()
    [message] = claim()
    assert mark([message], token=uuid4()) == [None]
    assert state_of(message) == ("leased", "")


def test_mark_needs_enough_of_the_lease():
    planned()
    [message] = claim()
    end_leases()
    assert mark([message]) == [None]


def test_mark_keeps_what_the_slots_showed():
    planned()
    [message] = claim()
    shown = [{"slot": "picks", "item": "p1", "rank": 1}]
    draft = make_draft(message, items=shown)
    marking.mark([message], [draft], token=message.lease_token, call_seconds=20, now=NOON)
    assert Message.objects.get(id=message.id).items == shown


def test_mark_gives_a_paused_run_its_message_back():
    message = planned(run_id=4)
    [claimed] = claim()
    outbox.hold_run(4, state=RunHold.State.PAUSED)
    assert mark([claimed]) == [Defer(None, "paused")]
    assert state_of(message) == ("planned", "")


def test_mark_drops_the_expired():
    planned(expires_at=NOON + timedelta(minutes=1))
    [message] = claim()
    assert mark([message], now=NOON + timedelta(minutes=1)) == [Drop("expired")]
    assert state_of(message) == ("expired", "expired")


@pytest.mark.parametrize("text", ["a\0b", "a\ud800b", "x" * 100_000])
def test_an_answer_counts_whatever_text_the_provider_gives(text):
    accepted, refused = attempting(), attempting()
    assert record(accepted, Accepted(text)) == 0
    assert record(refused, Refused(text)) == 0
    assert (state_of(accepted)[0], state_of(refused)[0]) == ("accepted", "failed")
    row = Message.objects.get(id=accepted.id)
    assert row.provider_id == receipts.whole(text)[:255]
    assert receipts.find_message(said_of(text)).id == accepted.id


def said_of(provider_id: str) -> receipts.Said:
    said = receipts.Said("esp", "email", receipts.Kind.DELIVERED, NOON, provider_id=provider_id)
    return receipts.cleaned(said, now=NOON)


def test_accepted_is_recorded_with_the_providers_id():
    message = attempting()
    assert record(message, Accepted("m-1")) == 0
    row = Message.objects.get(id=message.id)
    assert (row.state, row.provider_id, row.finished_at) == ("accepted", "m-1", NOON)
    attempt = SendAttempt.objects.get(message_id=message.id)
    assert (attempt.outcome, attempt.attempt, attempt.lease_token) == (
        "accepted", 1, message.lease_token,
    )  # fmt: skip


def test_refused_is_failed_with_its_reason():
    message = attempting()
    record(message, Refused("550 no such user"))
    assert state_of(message) == ("failed", "550 no such user")


def test_later_is_planned_again_after_a_growing_pause():
    message = attempting()
    record(message, TryLater("451"))
    row = Message.objects.get(id=message.id)
    assert (row.state, row.not_before, row.lease_token, row.finished_at) == (
        "planned", NOON + timedelta(seconds=30), None, None,
    )  # fmt: skip
    [again] = claim(now=NOON + timedelta(seconds=30))
    assert mark([again]) == [Allow(2)]
    record(again, TryLater("451"), attempt=2)
    assert Message.objects.get(id=message.id).not_before == NOON + timedelta(seconds=60)


def test_later_than_its_expiry_is_expired():
    message = attempting(expires_at=NOON + timedelta(seconds=30))
    record(message, TryLater("451"))
    assert state_of(message) == ("expired", "expired")


def test_unknown_is_final_and_not_sent_again():
    message = attempting()
    record(message, Unknown("no_answer"))
    assert state_of(message) == ("unknown", "no_answer")
    assert claim(now=NOON + timedelta(hours=2)) == []


def test_reaper_returns_what_was_never_called():
    message = planned()
    claim()
    end_leases()
    assert reaping.reap(NOON) == reaping.Reaped(returned=1, unknown=0, cancelled=0)
    assert state_of(message) == ("planned", "")
    assert reaping.reap(NOON) == reaping.Reaped(0, 0, 0)


def die_with(limit: int = 100) -> list[Message]:
    """Claim, and never be heard of again; what was held."""
    messages = claim(limit=limit)
    end_leases()
    reaping.reap(NOON)
    return messages


def test_what_died_with_its_holder_is_claimed_in_shrinking_groups_apart_from_the_rest():
    for _ in range(70):
        planned()
    assert len(die_with(64)) == 64
    assert len(die_with(64)) == 8  # an eighth of what may be claimed
    assert len(die_with(64)) == 8  # who died once come before who died twice
    for _ in range(6):
        assert len(claim(limit=64)) == 8  # the rest of the first group is safe now
    assert [len(claim(limit=64)) for _ in range(17)] == [*[1] * 16, 6]
    assert claim(limit=64) == []


def test_who_is_not_held_back_by_a_rate_goes_before_suspects_that_are():
    suspect = planned(run_id=4)
    die_with()
    other = planned(run_id=5)
    assert [m.id for m in claim(most={4: 0, 5: 10})] == [other.id]
    assert [m.id for m in claim(most={4: 1, 5: 10})] == [suspect.id]


def test_a_held_run_keeps_its_suspects_and_other_runs_are_claimed():
    planned(run_id=4)
    die_with()
    outbox.hold_run(4, state=RunHold.State.PAUSED)
    other = planned(run_id=5)
    assert [m.id for m in claim()] == [other.id]


def test_a_message_whose_fifth_holder_dies_is_quarantined():
    message = planned()
    for _ in range(4):
        assert [m.id for m in die_with()] == [message.id]
        assert state_of(message) == ("planned", "")
    claim()
    end_leases()
    assert reaping.reap(NOON) == reaping.Reaped(0, 0, 0, quarantined=1)
    assert state_of(message) == ("failed", "quarantined")
    row = Message.objects.get(id=message.id)
    assert (row.returned, row.finished_at, row.lease_token) == (5, NOON, None)
    assert claim() == []


@pytest.mark.parametrize("limit", [1, 100, 1_000, 10_000, 100_000])
def test_before_its_last_return_nobody_shares_a_claim_with_a_message(limit):
    sizes = [claiming._group_size(limit, returned=returned) for returned in range(5)]
    assert (sizes[0], sizes[-1]) == (limit, 1)
    assert sizes == sorted(sizes, reverse=True)


def test_a_release_is_no_death():
    message = planned()
    for _ in range(6):
        [held] = claim()
        assert outbox.release([held], token=held.lease_token, not_before=NOON) == 1
    assert state_of(message) == ("planned", "")


def test_a_webhook_that_kills_its_callers_leaves_its_neighbours_and_ends_as_unknown():
    make_message(profile=make_profile(), channel="webhook")
    for tries in range(1, 6):
        [message] = claim(channel="webhook", now=NOON + timedelta(hours=3 * tries))
        assert message.returned == tries - 1
        assert mark([message], address="https://shop.example/hook") == [Allow(tries)]
        end_leases()
        reaping.reap(NOON)
    assert Message.objects.get().state == "unknown"  # called: nobody can say that it failed


def test_reaper_leaves_living_leases():
    planned()
    claim()
    assert reaping.reap(NOON) == reaping.Reaped(0, 0, 0)


def test_reaper_counts_a_call_without_an_answer_as_unknown():
    message = attempting()
    end_leases()
    assert reaping.reap(NOON) == reaping.Reaped(returned=0, unknown=1, cancelled=0)
    assert state_of(message) == ("unknown", "worker_died")
    assert SendAttempt.objects.get().outcome == "unknown"


def test_reaper_closes_what_expired_while_nobody_could_claim_it():
    dead = [planned(expires_at=NOON), planned(expires_at=NOON, channel="push", run_id=None)]
    cancelled = planned(expires_at=NOON, run_id=5)
    alive = planned(expires_at=NOON + timedelta(seconds=1))
    outbox.hold_run(1, state=RunHold.State.PAUSED)
    outbox.hold_run(5, state=RunHold.State.CANCELLED)
    assert reaping.reap(NOON) == reaping.Reaped(0, 0, cancelled=1, expired=2)
    assert [state_of(m)[0] for m in (*dead, cancelled, alive)] == [
        "expired", "expired", "cancelled", "planned",
    ]  # fmt: skip


def test_a_late_answer_of_the_same_call_resolves_the_unknown():
    message = attempting()
    end_leases()
    reaping.reap(NOON)
    assert record(message, Accepted("m-1")) == 0
    assert state_of(message) == ("accepted", "")


def test_a_late_try_again_says_that_it_was_not_sent_so_it_may_be_sent_still():
    message = attempting()
    end_leases()
    reaping.reap(NOON)
    assert record(message, TryLater("503")) == 0
    row = Message.objects.get(id=message.id)
    assert (row.state, row.reason, row.not_before, row.lease_token, row.finished_at) == (
        "planned", "", NOON + timedelta(seconds=30), None, None,
    )  # fmt: skip
    assert record(message, Accepted("m-1")) == 1  # what the same worker says then is fenced


@pytest.mark.parametrize(
    ("outcome", "end"),
    [(TryLater("503"), ("failed", "unavailable")), (Accepted("m-1"), ("accepted", ""))],
)
def test_a_late_answer_to_a_settled_message_closes_it(outcome, end):
    message = attempting(run_id=4)
    end_leases()
    reaping.reap(NOON)
    assert outbox.settle_unknown(5)
    assert outbox.settle_unknown(4)
    record(message, outcome)
    assert state_of(message) == end


def test_a_late_try_again_after_its_end_does_not_reopen_a_message():
    message = attempting(expires_at=NOON + timedelta(seconds=10))
    end_leases()
    reaping.reap(NOON)
    record(message, TryLater("503"))
    assert state_of(message) == ("failed", "unavailable")


def test_an_answer_under_another_token_is_fenced_and_written_down():
    message = attempting()
    assert record(message, Accepted("m-1"), token=uuid4()) == 1
    assert state_of(message) == ("attempting", "")
    assert SendAttempt.objects.get().outcome == "fenced"


def test_cancelling_closes_what_was_not_called():
    open_one, leased, called = planned(run_id=4), planned(run_id=4), planned(run_id=4)
    claimed = {m.id: m for m in claim(limit=3)}
    outbox.release([claimed[open_one.id]], token=claimed[leased.id].lease_token, not_before=NOON)
    mark([claimed[called.id]])
    assert outbox.cancel_run(4, NOON) == 2
    assert [state_of(m)[0] for m in (open_one, leased, called)] == [
        "cancelled", "cancelled", "attempting",
    ]  # fmt: skip
    assert mark([claimed[leased.id]]) == [None]


def test_what_was_planned_after_the_cancellation_is_swept():
    outbox.cancel_run(4, NOON)
    message = planned(run_id=4)
    assert claim() == []
    assert reaping.reap(NOON).cancelled == 1
    assert state_of(message) == ("cancelled", "cancelled")


def test_a_reap_asks_once_however_many_runs_were_cancelled(
    monkeypatch, django_assert_max_num_queries
):
    monkeypatch.setattr(reaping, "SWEEP", 4)
    for run_id in range(4, 24):
        outbox.hold_run(run_id, state=RunHold.State.CANCELLED)
    late = [planned(run_id=run_id) for run_id in (5, 9, 9, 20, 23)]
    outbox.hold_run(30, state=RunHold.State.PAUSED)
    others = [planned(run_id=30), planned(run_id=31), planned(run_id=None)]
    with django_assert_max_num_queries(9):  # 4 sweeps, this one twice, and a transaction
        assert reaping.reap(NOON).cancelled == 5
    assert {state_of(m)[0] for m in late} == {"cancelled"}
    assert {state_of(m)[0] for m in others} == {"planned"}


def test_release_gives_back_only_what_was_not_marked():
    first, second = planned(), planned()
    claimed = {m.id: m for m in claim()}
    mark([claimed[first.id]])
    later = NOON + timedelta(minutes=1)
    token = claimed[first.id].lease_token
    assert outbox.release(claimed.values(), token=token, not_before=later) == 1
    assert state_of(first)[0] == "attempting"
    assert Message.objects.get(id=second.id).not_before == later


def test_states_are_counted_with_their_zeros():
    attempting(run_id=4)
    planned(run_id=4)
    planned(run_id=5)
    assert outbox.count_states(4) == {
        "planned": 1, "leased": 0, "attempting": 1, "accepted": 0, "failed": 0,
        "suppressed": 0, "expired": 0, "cancelled": 0, "unknown": 0,
    }  # fmt: skip


def test_health_says_how_long_the_oldest_due_message_waits():
    planned(run_id=4)
    planned(run_id=5, not_before=NOON + timedelta(seconds=20))
    planned(run_id=6, not_before=NOON + timedelta(hours=1))
    planned(run_id=7, not_before=NOON - timedelta(hours=1))
    outbox.hold_run(7, state=RunHold.State.PAUSED)
    assert outbox.health(NOON + timedelta(seconds=30)) == {"oldest_seconds": 30.0, "depth": 2}
    Message.objects.all().delete()
    assert outbox.health(NOON) == {"oldest_seconds": 0.0, "depth": 0}


def test_a_webhook_whose_call_nobody_answered_is_called_again_with_the_same_key():
    make_message(profile=make_profile(), channel="webhook")
    [message] = claim(channel="webhook")
    mark([message], address="https://shop.example/hook")
    end_leases()
    assert reaping.reap(NOON).unknown == 1
    [again] = claim(channel="webhook", now=NOON + timedelta(seconds=30))
    assert (again.id, again.key, again.attempt) == (message.id, message.key, 1)
    assert SendAttempt.objects.get(message_id=message.id).outcome == "unknown"
    assert record(message, Accepted("late")) == 1  # fenced: another call is on its way


def test_a_webhook_that_is_never_answered_ends_as_unknown():
    make_message(
        profile=make_profile(), channel="webhook", attempt=policy.most_calls("webhook") - 1
    )
    [message] = claim(channel="webhook")
    mark([message], address="https://shop.example/hook")
    end_leases()
    reaping.reap(NOON)
    assert Message.objects.get().state == "unknown"


NO_JITTER = UUID("01900000-0000-7000-8000-000000000000")
# What nobody knows of the outcome of its call is called again after so many seconds, or never.
CALLED_AGAIN = [
    ("webhook", "campaign", 5),
    ("webhook", "transactional", 5),
    ("inbox", "triggered", 30),
    ("push", "campaign", None),
    ("push", "triggered", None),
    ("push", "transactional", 30),
    ("web_push", "test", None),
    ("web_push", "transactional", 30),
    ("email", "campaign", None),
    ("email", "transactional", 300),
    ("sms", "campaign", None),
    ("sms", "transactional", None),
]


@pytest.mark.parametrize(("channel", "kind", "seconds"), CALLED_AGAIN)
def test_an_answer_that_says_nothing_is_retried_only_where_the_policy_allows(
    channel, kind, seconds
):
    message = make_message(profile=make_profile(), channel=channel, kind=kind, id=NO_JITTER)
    result = judge(message, Unknown("reset"), attempt=1, now=NOON)
    until = None if seconds is None else NOON + timedelta(seconds=seconds)
    assert (result.state, result.not_before) == ("planned" if until else "unknown", until)
    assert result.outcome == "unknown"


@pytest.mark.parametrize(("channel", "kind", "seconds"), CALLED_AGAIN)
def test_a_call_that_nobody_lived_to_answer_is_made_again_by_the_same_policy(
    channel, kind, seconds
):
    make_message(profile=make_profile(), channel=channel, kind=kind, id=NO_JITTER)
    [message] = claim(channel=channel)
    called(message)
    end_leases()
    assert reaping.reap(NOON).unknown == 1
    row = Message.objects.get()
    if seconds is None:
        assert row.state == "unknown"
    else:
        assert (row.state, row.not_before) == ("planned", NOON + timedelta(seconds=seconds))


def test_a_transactional_mail_is_called_twice_at_most():
    make_message(profile=make_profile(), kind="transactional", attempt=1)
    [message] = claim()
    called(message)
    end_leases()
    reaping.reap(NOON)
    assert Message.objects.get().state == "unknown"


def test_a_message_is_not_called_again_when_it_would_be_too_late():
    message = make_message(
        profile=make_profile(), kind="transactional", expires_at=NOON + timedelta(seconds=300)
    )
    [message] = claim()
    called(message)
    end_leases()
    reaping.reap(NOON)
    assert Message.objects.get().state == "unknown"


def called(message: Message) -> None:
    """On its way to the provider, whatever its channel asks of an address."""
    Message.objects.filter(id=message.id).update(state="attempting", attempt=message.attempt + 1)
