import json
import logging
from datetime import UTC, datetime

import pytest
import time_machine

from delivery.channels.apns import ApnsChannel, read_account
from delivery.drafts import Accepted, Refused, TryLater
from delivery.errors import ChannelNotConfigured
from engage.lib import clock
from tests.delivery.channels.conftest import apple_token
from tests.delivery.channels.drafts import push_draft
from tests.providers import ledger
from tests.providers.apns import STATUS
from tests.providers.captured import Captured

TOKEN = apple_token("ann")
EVERYBODY = {
    "BadCertificate", "BadCertificateEnvironment", "BadEnvironmentKeyIdInToken", "BadTopic",
    "ExpiredProviderToken", "Forbidden", "IdleTimeout", "InternalServerError",
    "InvalidProviderToken", "MissingProviderToken", "MissingTopic", "ServiceUnavailable",
    "Shutdown", "TooManyProviderTokenUpdates", "TopicDisallowed", "UnrelatedKeyIdInToken",
}  # fmt: skip
GONE = {"BadDeviceToken", "DeviceTokenNotForTopic", "ExpiredToken", "Unregistered"}


def draft(name="ann", **fields):
    return push_draft(apple_token(name), **fields)


def snake(word):
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in word)[1:]


def test_a_push_arrives_with_its_key_link_image_and_data(apple, apns, tmp_path):
    apns.captured = Captured(tmp_path / "captured", title="Captured pushes")
    sent = draft(
        title="Für dich", body="Schau", image="https://shop.example/1.jpg",
        link="https://shop.example/1", data={"token": "abc", "aps": "mine"},
    )  # fmt: skip
    [outcome] = apple.send([sent])
    [line] = ledger.read(apns.ledger.path)
    assert outcome == Accepted(str(sent.message_id))
    assert line == {"key": str(sent.key), "to": TOKEN, "id": str(sent.message_id)}
    captured = json.loads((tmp_path / "captured" / "000001.json").read_text())
    assert captured["payload"] == {
        "aps": {"alert": {"title": "Für dich", "body": "Schau"}, "mutable-content": 1},
        "token": "abc", "message_id": str(sent.message_id), "key": str(sent.key),
        "link": "https://shop.example/1", "image": "https://shop.example/1.jpg",
    }  # fmt: skip
    assert captured["headers"] == {
        "apns-topic": apns.topic, "apns-id": str(sent.message_id),
        "apns-collapse-id": sent.key.hex, "apns-push-type": "alert", "apns-priority": "10",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("ttl_seconds", "expiration"), [(3_600, "1793622600"), (0, "0"), (-5, "0")]
)
def test_the_end_of_a_push_is_a_moment(apple, apns, tmp_path, ttl_seconds, expiration):
    apns.captured = Captured(tmp_path / "captured", title="Captured pushes")
    with time_machine.travel(datetime(2026, 11, 2, 11, 30, tzinfo=UTC), tick=True):
        apple.send([draft(ttl_seconds=ttl_seconds)])
    captured = json.loads((tmp_path / "captured" / "000001.json").read_text())
    assert captured["headers"]["apns-expiration"] == expiration


def test_a_batch_shares_one_connection_and_one_provider_token(apple, apns):
    for _ in range(2):
        outcomes = apple.send([draft(str(n)) for n in range(50)])
        assert {type(outcome) for outcome in outcomes} == {Accepted}
    assert (apns.requests, apns.connections, len(apns.tokens)) == (100, 1, 1)


def test_a_new_provider_token_every_40_minutes(apple, apns):
    start = datetime(2026, 11, 2, 12, 0, tzinfo=UTC)
    with time_machine.travel(start, tick=False) as now:
        for minutes in range(0, 121, 10):
            now.move_to(start.replace(hour=12 + minutes // 60, minute=minutes % 60))
            assert [type(o) for o in apple.send([draft()])] == [Accepted]
    assert [(at - start.timestamp()) / 60 for at in apns.tokens.values()] == [0, 40, 80, 120]


def test_a_clock_set_back_makes_a_new_provider_token(apple, apns):
    """The old one would come from the future."""
    apple.token, apple.token_at = "of the future", clock.now().timestamp() + 7_200
    assert [type(o) for o in apple.send([draft()])] == [Accepted]


def test_an_expired_provider_token_is_renewed_once_and_the_message_sent_once(apple, apns):
    with time_machine.travel(datetime(2026, 11, 2, 12, 0, tzinfo=UTC), tick=True) as now:
        apple.send([draft("first")])
        now.shift(1_500)
        apns.faults.play("ExpiredProviderToken", match=TOKEN, times=1)
        outcomes = apple.send([draft("bob"), draft()])
    assert [type(outcome) for outcome in outcomes] == [Accepted, Accepted]
    assert (len(apns.tokens), apns.requests, len(ledger.read(apns.ledger.path))) == (2, 4, 3)


def test_a_young_provider_token_that_is_refused_is_not_replaced(apple, apns):
    """Apple would refuse a second one as well, for coming too soon."""
    apns.faults.play("ExpiredProviderToken")
    later = TryLater("expired_provider_token", everybody=True)
    assert apple.send([draft(), draft("bob")]) == [later, later]
    assert (len(apns.tokens), apns.requests) == (1, 2)


@pytest.mark.parametrize("reason", STATUS)
def test_answers_are_classed_by_apples_word(apple, apns, reason):
    apns.faults.play(reason, match=TOKEN)
    first, second = apple.send([draft(), draft("bob")])
    if reason in GONE:
        assert first == Refused(snake(reason), gone=True, gone_ms=first.gone_ms)
        assert (first.gone_ms is None) == (reason in {"BadDeviceToken", "DeviceTokenNotForTopic"})
    elif reason in EVERYBODY:
        assert first == TryLater(snake(reason), everybody=True)
    elif reason == "TooManyRequests":
        assert first == TryLater("too_many_requests")
    else:
        assert first == Refused(snake(reason))
    assert isinstance(second, Accepted)


@pytest.mark.parametrize("reason", ["BadDeviceToken", "DeviceTokenNotForTopic"])
def test_no_device_is_retired_before_one_was_reached(apple, apns, caplog, reason):
    """With the sandbox's address or another app's name every token looks wrong."""
    apns.faults.play(reason)
    with caplog.at_level(logging.WARNING):
        outcomes = apple.send([draft(), draft("bob")])
    assert outcomes == [Refused(snake(reason))] * 2
    assert caplog.messages == ["push refused"] * 2
    assert TOKEN not in caplog.text


@pytest.mark.parametrize(("said", "seconds"), [("7", 7.0), ("999999", 86_400.0), ("soon", None)])
def test_a_wish_for_a_pause_is_passed_on(apple, apns, said, seconds):
    apns.faults.play("Shutdown", retry_after=said)
    assert apple.send([draft()]) == [TryLater("shutdown", seconds, everybody=True)]


def test_a_payload_above_the_limit_is_refused_before_the_call(apple, apns):
    outcomes = apple.send([draft(body="ü" * 2_000), draft(body="x" * 3_900)])
    assert outcomes[0] == Refused("payload_too_large")
    assert isinstance(outcomes[1], Accepted)
    assert apns.requests == 1


def test_what_is_no_token_of_apples_is_refused_before_the_call(apple, apns):
    drafts = [push_draft(token) for token in ("ab" * 31, "ab" * 101, "xy" * 32, "../" * 22)]
    assert apple.send(drafts) == [Refused("invalid_address")] * 4
    assert apns.requests == 0


@pytest.mark.parametrize("fault", ["hang_up", "refuse_stream"])
def test_what_apple_disowned_may_be_tried_later(apple, apns, fault):
    """By itself the channel does not repeat it, nor does it pause for it."""
    apple.send([draft("first")])
    apns.faults.play(fault, match=TOKEN, times=1)
    outcomes = apple.send([draft("bob"), draft()])
    assert isinstance(outcomes[0], Accepted)
    assert outcomes[1] == TryLater("disowned", everybody=False)
    assert [type(outcome) for outcome in apple.send([draft("cid")])] == [Accepted]
    assert TOKEN not in {line["to"] for line in ledger.read(apns.ledger.path)}


@pytest.mark.parametrize("late", [0.0, 0.3])
def test_one_stream_at_a_time_until_apple_allows_more(apple, apns, late):
    apns.streams_at_once, apns.settings_seconds = 1, late
    outcomes = apple.send([draft(str(n)) for n in range(50)])
    assert {type(outcome) for outcome in outcomes} == {Accepted}
    assert apns.most_at_once == 1


@pytest.mark.parametrize("content", [None, "", "no key", "-----BEGIN PRIVATE KEY-----\nabc\n"])
def test_a_wrong_key_file_says_what_is_expected(apns, settings, tmp_path, content):
    settings.APNS_KEY_FILE = str(tmp_path / "wrong.p8")
    if content is not None:
        (tmp_path / "wrong.p8").write_text(content)
    with pytest.raises(ChannelNotConfigured, match=r"expected the \.p8 file"):
        read_account()


@pytest.mark.parametrize("setting", ["KEY_ID", "TEAM_ID", "TOPIC"])
@pytest.mark.parametrize("value", ["", "two words", "ABCDEFGHI\n", "ü" * 10])
def test_a_wrong_id_is_said_by_its_name(apns, settings, setting, value):
    setattr(settings, f"APNS_{setting}", value)
    with pytest.raises(ChannelNotConfigured, match=f"ENGAGE_APNS_{setting} cannot be used"):
        ApnsChannel()
