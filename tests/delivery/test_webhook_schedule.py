"""When a webhook that its receiver did not take is called again."""

from datetime import timedelta
from uuid import UUID

import pytest

from delivery import policy, reaping
from delivery.drafts import TryLater, Unknown
from delivery.models import Message
from delivery.policy import Defer, Drop
from delivery.results import judge
from tests.delivery.sending import claim, end_leases
from tests.factories import NOON, make_message, make_profile

HOUR = 3_600
PAUSES = [5, 300, 1_800, 2 * HOUR, 5 * HOUR, 10 * HOUR, 14 * HOUR, 20 * HOUR, 24 * HOUR]
FAR = NOON + timedelta(days=30)
NO_JITTER = UUID("01900000-0000-7000-8000-000000000000")
MOST_JITTER = UUID("01900000-0000-7000-8000-0000ffffffff")
HALF_JITTER = UUID("01900000-0000-7000-8000-000080000000")


def after(seconds: float) -> Defer:
    return Defer(NOON + timedelta(seconds=seconds))


def test_ten_calls_in_seventy_six_hours_as_standard_webhooks_asks():
    found = [
        policy.retry(calls, now=NOON, expires_at=FAR, channel="webhook") for calls in range(1, 11)
    ]
    assert found == [*map(after, PAUSES), Drop("unavailable")]
    assert sum(PAUSES) == 75 * HOUR + 35 * 60 + 5


def test_an_outcome_that_nobody_knows_keeps_the_same_pauses():
    asked = {"channel": "webhook", "kind": "campaign", "now": NOON, "expires_at": FAR}
    found = [policy.retry_unknown(calls, **asked) for calls in range(1, 11)]
    assert found == [*map(after, PAUSES), None]


def test_a_pause_is_longer_by_up_to_a_tenth_by_the_id_of_the_message():
    found = [policy.jitter_of("webhook", one) for one in (NO_JITTER, HALF_JITTER, MOST_JITTER)]
    assert found == [0.0, 0.05, pytest.approx(0.1)]
    assert max(found) < 0.1
    assert policy.pause_seconds(2, channel="webhook", jitter=0.05) == 315
    assert policy.jitter_of("email", HALF_JITTER) == 0.0


def test_the_longest_pauses_fit_into_the_time_that_a_webhook_is_of_use():
    assert policy.useful_for("webhook") == timedelta(hours=96)
    assert policy.useful_for("email") == timedelta(hours=24)
    assert timedelta(seconds=sum(PAUSES) * 1.1 + 10 * 30) < policy.useful_for("webhook")


def test_a_receiver_that_asks_for_more_time_gets_it_and_jitter_besides():
    asked = {"channel": "webhook", "now": NOON, "expires_at": FAR}
    assert policy.retry(1, retry_after_seconds=600, **asked) == after(600)
    assert policy.retry(1, retry_after_seconds=600, jitter=0.05, **asked) == after(630)
    assert policy.retry(3, retry_after_seconds=600, **asked) == after(1_800)


def test_the_end_of_a_message_ends_its_calls():
    asked = {"channel": "webhook", "now": NOON}
    assert policy.retry(4, expires_at=NOON + timedelta(hours=2), **asked) == Drop("expired")
    late = NOON + timedelta(hours=2, seconds=1)
    assert policy.retry(4, expires_at=late, **asked) == after(2 * HOUR)


@pytest.mark.django_db
@pytest.mark.parametrize("calls", range(1, 10))
def test_the_reaper_waits_as_long_as_who_got_no_answer(calls):
    message = make_message(
        profile=make_profile(), channel="webhook", attempt=7 + calls, calls_before=7,
        state="attempting", lease_token=UUID(int=1), lease_until=NOON, expires_at=FAR,
    )  # fmt: skip
    end_leases()
    reaping.reap(NOON)
    row = Message.objects.get()
    expected = judge(message, Unknown("timeout"), attempt=7 + calls, now=NOON)
    assert (row.state, expected.state) == ("planned", "planned")
    assert abs(row.not_before - expected.not_before) <= timedelta(microseconds=2)
    pause = (row.not_before - NOON).total_seconds()
    assert PAUSES[calls - 1] <= pause < PAUSES[calls - 1] * 1.1


@pytest.mark.django_db
def test_calls_of_before_it_was_sent_again_count_no_more():
    fields = {"channel": "webhook", "id": NO_JITTER, "expires_at": FAR}
    make_message(profile=make_profile(), attempt=10, calls_before=10, **fields)
    [message] = claim(channel="webhook")
    for outcome in (TryLater("http_503"), Unknown("timeout")):
        first = judge(message, outcome, attempt=11, now=NOON)
        assert (first.state, first.not_before) == ("planned", NOON + timedelta(seconds=5))
        last = judge(message, outcome, attempt=20, now=NOON)
        assert (last.not_before, last.given_up) == (None, True)
