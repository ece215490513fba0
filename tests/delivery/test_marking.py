"""Everything that forbids a message forbids it at the mark, however late it was committed."""

from datetime import timedelta
from uuid import UUID

import pytest
from django.db import connection

from delivery import control_rows, outbox, policy, suppression
from delivery.drafts import Accepted
from delivery.models import Message, RunHold
from delivery.policy import Allow, Defer, Drop
from engage.lib.clock import to_millis
from engage.profiles.models import Consent, Device, Profile
from tests.delivery.sending import claim, mark, record
from tests.factories import NOON, make_message, make_profile

pytestmark = pytest.mark.django_db
EMAIL = "ann@shop.example"


def claimed(*, channel: str = "email", topic: str = "", opted_in=("email",), **profile):
    person = make_profile(email=EMAIL, opted_in=opted_in, **profile)
    address_id = f"d{person.pk}" if channel in policy.TO_DEVICES else ""
    make_message(profile=person, channel=channel, topic=topic, address_id=address_id, run_id=4)
    [message] = claim(channel=channel)
    return message


def say(message, status: str, *, topic: str = "", channel: str = "email", at=NOON) -> None:
    Consent.objects.update_or_create(
        profile_id=message.profile_id, channel=channel, topic=topic,
        defaults={"status": status, "stated_ms": to_millis(at)},
    )  # fmt: skip


def final(message) -> tuple[str, str]:
    row = Message.objects.get(id=message.id)
    return row.state, row.reason


def test_an_id_that_no_database_keeps_loses_no_answer():
    """A provider's id is its text: NUL and half a character come of broken JSON or replies."""
    message = claimed()
    mark([message])
    assert record(message, Accepted("a\x00b\ud800" + "x" * 300)) == 0
    row = Message.objects.get(id=message.id)
    assert (row.state, row.provider_id) == ("accepted", "a\ufffdb?" + "x" * 251)


def test_email_needs_an_opt_in():
    message = claimed(opted_in=())
    assert mark([message]) == [Drop("no_consent")]
    assert final(message) == ("suppressed", "no_consent")


def test_a_withdrawal_after_the_claim_is_seen():
    message = claimed()
    say(message, "opted_out")
    assert mark([message]) == [Drop("no_consent")]


def test_an_opt_in_of_the_topic_is_enough_and_an_opt_out_of_it_stops():
    message = claimed(topic="news", opted_in=())
    say(message, "opted_in", topic="news")
    assert mark([message]) == [Allow(1)]
    message = claimed(topic="offers")
    say(message, "opted_out", topic="offers")
    assert mark([message]) == [Drop("no_consent")]


def test_an_opt_out_of_the_channel_beats_the_topic():
    message = claimed(topic="news", opted_in=())
    say(message, "opted_in", topic="news")
    say(message, "opted_out")
    assert mark([message]) == [Drop("no_consent")]


def test_an_opt_out_of_another_topic_changes_nothing():
    message = claimed(topic="news")
    say(message, "opted_out", topic="offers")
    assert mark([message]) == [Allow(1)]


def test_a_suppressed_address_gets_nothing_however_it_is_spelt():
    message = claimed()
    suppression.suppress(" ANN@Shop.Example ", channel="email", reason="bounced")
    assert mark([message]) == [Drop("address_suppressed")]


def test_suppression_of_another_channel_changes_nothing():
    message = claimed()
    suppression.suppress(EMAIL, channel="sms", reason="bounced")
    assert mark([message]) == [Allow(1)]


def test_a_later_opt_in_reopens_an_unsubscribed_address_but_not_a_bounced_one():
    first, second = claimed(), claimed()
    suppression.suppress(EMAIL, channel="email", reason="unsubscribed")
    assert mark([first]) == [Drop("address_suppressed")]
    say(second, "opted_in", at=NOON + timedelta(days=400))
    third = claimed()
    say(third, "opted_in", at=NOON + timedelta(days=400))
    assert mark([second]) == [Allow(1)]
    suppression.suppress(EMAIL, channel="email", reason="bounced")
    assert mark([third]) == [Drop("address_suppressed")]


def test_a_pause_after_the_claim_gives_the_message_back():
    message = claimed()
    outbox.hold_run(4, state=RunHold.State.PAUSED)
    assert mark([message]) == [Defer(None, "paused")]
    assert final(message) == ("planned", "")


def test_a_cancellation_that_did_not_reach_the_row_is_seen():
    message = claimed()
    outbox.hold_run(4, state=RunHold.State.CANCELLED)
    assert mark([message]) == [Drop("cancelled")]
    assert final(message) == ("cancelled", "cancelled")


def test_nobody_is_written_to_without_an_address():
    message = claimed()
    assert mark([message], address="") == [Drop("no_address")]


def test_the_erased_and_the_merged_get_nothing():
    erased, merged = claimed(), claimed()
    Profile.objects.filter(pk=merged.profile_id).update(merged_into=1)
    Consent.objects.filter(profile_id=erased.profile_id).delete()
    Profile.objects.filter(pk=erased.profile_id).delete()
    assert mark([erased]) + mark([merged]) == [Drop("erased"), Drop("merged")]


def test_what_a_server_asked_for_is_given_back_when_its_person_was_merged():
    message = claimed()
    Message.objects.update(kind="transactional")
    Profile.objects.filter(pk=message.profile_id).update(merged_into=1)
    assert mark([message]) == [Defer(None, "paused")]
    assert final(message) == ("planned", "")


def test_a_push_needs_no_opt_in_and_respects_an_opt_out():
    message = claimed(channel="push", opted_in=(), push_token="t")
    assert mark([message], address="t") == [Allow(1)]
    message = claimed(channel="push", opted_in=(), push_token="u")
    say(message, "opted_out", channel="push")
    assert mark([message], address="u") == [Drop("no_consent")]


def test_a_web_push_is_judged_like_a_push():
    good = claimed(channel="web_push", opted_in=(), push_token="{1}")
    assert mark([good], address="{1}") == [Allow(1)]
    changed = claimed(channel="web_push", push_token="{2}")
    assert mark([changed], address="{old}") == [Drop("no_address")]


def test_an_sms_needs_an_opt_in_and_a_webhook_none():
    assert mark([claimed(channel="sms", opted_in=())], address="+49170") == [Drop("no_consent")]
    assert mark([claimed(channel="sms", opted_in=("sms",))], address="+49171") == [Allow(1)]
    assert mark([claimed(channel="webhook", opted_in=())], address="https://x") == [Allow(1)]


def test_a_token_that_is_gone_changed_or_moved_gets_nothing():
    gone = claimed(channel="push", push_token="gone")
    Device.objects.filter(profile_id=gone.profile_id).update(gone_at=NOON)
    changed = claimed(channel="push", push_token="new")
    moved = claimed(channel="push", push_token="moved")
    other = make_profile(push_token="moved")
    Device.objects.filter(profile=other).update(token_ms=5)
    assert mark([gone], address="gone") == [Drop("no_address")]
    assert mark([changed], address="old") == [Drop("no_address")]
    assert mark([moved], address="moved") == [Drop("no_address")]


def test_the_holder_of_a_token_is_found_by_the_index_on_tokens():
    asked = {"profiles": [1], "ids": [UUID(int=1)], "addresses": ["t"], "digests": [UUID(int=2)]}
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")  # whatever an empty table suggests
        cursor.execute(
            f"EXPLAIN {control_rows.OPEN_TO}", {**asked, "need_opt_in": ["email"], "now": NOON}
        )
        plan = "\n".join(row[0] for row in cursor.fetchall())
    assert "Index Scan using device_token on profiles_device o" in plan


def test_the_first_that_forbids_gives_the_reason():
    message = claimed(opted_in=())
    suppression.suppress(EMAIL, channel="email", reason="bounced")
    outbox.hold_run(4, state=RunHold.State.CANCELLED)
    assert mark([message], address="") == [Drop("cancelled")]


def test_pauses_grow_and_end():
    pauses = [policy.pause_seconds(attempt) for attempt in range(1, 10)]
    assert pauses == [30, 60, 120, 240, 480, 960, 1_920, 3_600, 3_600]
    assert policy.pause_seconds(1, retry_after_seconds=7_200) == 7_200
    far = NOON + timedelta(days=9)
    assert sum(pauses[: policy.MAX_ATTEMPTS - 1]) == 3_810  # seconds: about an hour
    assert policy.retry(7, now=NOON, expires_at=far) == Defer(NOON + timedelta(seconds=1_920))
    assert policy.retry(8, now=NOON, expires_at=far) == Drop("unavailable")


def test_need_opt_in_is_what_the_profiles_room_says():
    from engage.profiles import consents

    assert set(policy.NEED_OPT_IN) == consents.NEED_OPT_IN
