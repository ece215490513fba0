"""Webhooks that their receiver did not take are sent again by hand."""

from datetime import timedelta
from uuid import UUID

import pytest

from delivery import control_rows, controls, outbox, replay
from delivery.drafts import Accepted
from delivery.models import Message, RunHold, SendAttempt
from delivery.outbox import MOVES
from tests.delivery.sending import claim, record
from tests.factories import NOON, make_message, make_profile

pytestmark = pytest.mark.django_db

TOKEN = UUID(int=1)


def make(state: str = "failed", reason: str = "unavailable", **fields: object) -> Message:
    defaults: dict[str, object] = {
        "channel": "webhook",
        "attempt": 10,
        "state": state,
        "reason": reason,
        "finished_at": NOON,
    }
    return make_message(profile=make_profile(), **(defaults | fields))


def again(*campaign_ids: int, now=NOON) -> replay.Again:
    return replay.plan_again(campaign_ids or (1,), now=now)


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        ("failed", "unavailable"), ("failed", "http_404"), ("failed", "http_410"),
        ("failed", "http_302"), ("failed", "url_not_allowed"), ("failed", "address_not_public"),
        ("unknown", "timeout"), ("unknown", "no_answer"), ("expired", "expired"),
        ("suppressed", "endpoint_disabled"),
    ],
)  # fmt: skip
def test_what_a_receiver_did_not_take_is_planned_again_as_it_was(state, reason):
    before = make(state, reason, returned=3, lease_token=TOKEN, lease_until=NOON)
    later = NOON + timedelta(days=2)
    assert again(now=later) == replay.Again(messages=1, more=False)
    row = Message.objects.get()
    assert (row.id, row.key, row.run_id) == (before.id, before.key, before.run_id)
    assert (row.state, row.reason, row.finished_at) == ("planned", "", None)
    assert (row.not_before, row.expires_at) == (later, later + timedelta(days=4))
    assert (row.attempt, row.calls_before, row.returned) == (10, 10, 0)
    assert (row.lease_token, row.lease_until) == (None, None)
    assert "planned" in MOVES[Message.State(state)]


@pytest.mark.parametrize(
    "fields",
    [
        {"state": "accepted", "reason": ""},
        {"state": "planned", "reason": "", "finished_at": None},
        {"state": "cancelled", "reason": "cancelled"},
        {"state": "failed", "reason": "payload_too_large"},
        {"state": "failed", "reason": "compose_failed"},
        {"state": "failed", "reason": "quarantined"},
        {"state": "suppressed", "reason": "no_consent"},
        {"state": "suppressed", "reason": "capped"},
        {"state": "expired", "reason": "expired", "attempt": 0},  # the run paused till then
        {"state": "expired", "reason": "expired", "calls_before": 10},
        {"kind": "test"},
        {"channel": "email"},
        {"campaign_id": 2},
        {"run_id": 7},  # cancelled
        {"created_at": NOON - timedelta(days=30, seconds=1)},
    ],
)
def test_everything_else_stays_as_it_is(fields):
    outbox.hold_run(7, state=RunHold.State.CANCELLED)
    make(**fields)
    before = Message.objects.values().get()
    assert again() == replay.Again(messages=0, more=False)
    assert replay.count([1], now=NOON) == {}
    assert Message.objects.values().get() == before


def test_the_states_of_the_run_still_add_up_and_a_second_press_finds_nothing():
    make("failed", "unavailable"), make("unknown", "timeout"), make("accepted", "")
    assert again().messages == 2
    assert again().messages == 0
    assert {k: v for k, v in outbox.count_states(1).items() if v} == {"planned": 2, "accepted": 1}


def test_it_is_counted_by_state_and_reason_before():
    make("failed", "unavailable"), make("failed", "unavailable"), make("unknown", "timeout")
    make("expired", "expired")
    assert replay.count([1], now=NOON) == {
        "failed: unavailable": 2,
        "expired": 1,
        "unknown: timeout": 1,
    }
    assert replay.count([], now=NOON) == {}


def test_one_press_moves_so_many_and_says_that_others_wait(monkeypatch):
    monkeypatch.setattr(replay, "SWEEP", 2)
    monkeypatch.setattr(replay, "MOST", 3)
    for _ in range(5):
        make()
    assert again() == replay.Again(messages=3, more=True)
    assert sum(replay.count([1], now=NOON).values()) == 2
    assert again() == replay.Again(messages=2, more=False)


def test_a_late_answer_to_a_call_of_before_changes_nothing():
    message = make("unknown", "no_answer", lease_token=TOKEN, lease_until=NOON)
    again()
    assert record(message, Accepted(), attempt=10, token=TOKEN) == 1  # fenced
    assert Message.objects.get().state == "planned"
    assert SendAttempt.objects.get().outcome == "fenced"


def test_who_was_told_once_counts_once_for_the_caps():
    message = make("unknown", "timeout", marked_at=NOON - timedelta(hours=1))
    ids = [message.profile_id]
    assert len(control_rows.read_sent(ids, now=NOON)[message.profile_id]) == 1
    again()
    assert control_rows.read_sent(ids, now=NOON)[message.profile_id] == []
    claim(channel="webhook")
    Message.objects.update(state="accepted", marked_at=NOON)
    [sent] = control_rows.read_sent(ids, now=NOON)[message.profile_id]
    assert sent == controls.Sent("run 1", "webhook", "", NOON)
