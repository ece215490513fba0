import socket
import threading
import time
import uuid
from contextlib import suppress

import pytest

from delivery.channels.base import SharedChannel
from delivery.channels.push import PushChannel
from delivery.drafts import Accepted, Draft, Refused, TryLater, Unknown
from delivery.errors import ChannelNotConfigured, ChannelUnavailable
from tests.delivery.channels.conftest import apple_token
from tests.delivery.sending import push_content
from tests.providers import ledger

FIREBASE = "dJ3k:APA91bFx_Zk-1"


def draft(address, platform):
    return Draft(
        message_id=uuid.uuid4(),
        key=uuid.uuid4(),
        address=address,
        content=push_content(),
        platform=platform,
    )


def iphone(name="ann"):
    return draft(apple_token(name), "ios")


def android(name="bob"):
    return draft(f"token-of-{name}", "android")


def taken(provider):
    return [line["to"] for line in ledger.read(provider.ledger.path)]


@pytest.fixture
def now(both):
    """The clock of the pauses, which stands still."""
    both.pauses.clock = lambda: 1_000.0
    return 1_000.0


@pytest.fixture
def closed_port():
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        yield closed.getsockname()[1]


@pytest.mark.parametrize(
    ("address", "platform", "provider"),
    [
        ("ab" * 32, "ios", "apns"),
        ("AB" * 100, "ipados", "apns"),
        (FIREBASE, "ios", "fcm"),
        ("ab" * 31, "ios", "fcm"),
        ("ab" * 101, "ios", "fcm"),
        ("ab" * 32, "android", "fcm"),
        ("ab" * 32, "", "fcm"),
    ],
)
def test_each_device_has_its_provider(both, fcm, apns, address, platform, provider):
    assert isinstance(both, SharedChannel)
    assert both.provider_of(draft(address, platform)) == provider
    [outcome] = both.send([draft(address, platform)])
    assert isinstance(outcome, Accepted)
    assert taken({"apns": apns, "fcm": fcm}[provider]) == [address]
    assert taken({"apns": fcm, "fcm": apns}[provider]) == []


def test_outcomes_keep_the_order_of_the_drafts(both, fcm, apns):
    fcm.faults.play("unregistered", match="gone")
    apns.faults.play("TooManyRequests", match=apple_token("busy"))
    drafts = [iphone(), android("gone"), iphone("busy"), android(), iphone("cid"), draft("", "")]
    outcomes = both.send(drafts)
    assert outcomes[0] == Accepted(str(drafts[0].message_id))
    assert outcomes[1] == Refused("unregistered", gone=True)
    assert outcomes[2] == TryLater("too_many_requests")
    assert outcomes[3].provider_id.startswith("projects/")
    assert outcomes[4] == Accepted(str(drafts[4].message_id))
    assert outcomes[5] == Refused("invalid_address")


def test_apple_being_away_leaves_androids_alone(both, fcm, settings, closed_port):
    both.apns.url = f"https://localhost:{closed_port}"
    outcomes = both.send([iphone(), android()])
    assert outcomes[0] == TryLater("connection_failed", everybody=False)
    assert isinstance(outcomes[1], Accepted)
    assert taken(fcm) == ["token-of-bob"]


def test_google_being_away_leaves_iphones_alone(both, apns, closed_port):
    """No access token: FCM's part of the batch is unavailable as a whole."""
    fcm = both.fcm
    fcm.account = type(fcm.account)(
        fcm.account.project, fcm.account.email, f"https://localhost:{closed_port}/token",
        fcm.account.signer,
    )  # fmt: skip
    outcomes = both.send([iphone(), android()])
    assert isinstance(outcomes[0], Accepted)
    assert outcomes[1] == TryLater("unavailable", everybody=False)
    assert taken(apns) == [apple_token("ann")]


def test_one_of_two_providers_does_not_speak_for_the_channel(both, apns, now):
    """A batch of iPhones only: it says nothing of Google, and Apple is left alone."""
    apns.faults.play("ServiceUnavailable")
    assert both.send([iphone(), iphone("bob")]) == [TryLater("service_unavailable")] * 2
    both.pauses.clock = lambda: now + 10
    outcomes = both.send([iphone("cid"), android()])
    assert outcomes[0] == TryLater("provider_paused", 20.0)
    assert isinstance(outcomes[1], Accepted)
    assert apns.requests == 2


def test_a_provider_that_hangs_leaves_one_group_unknown(both, fcm, now, settings):
    both.send([android()])
    settings.PROVIDER_TIMEOUT_SECONDS = 1
    fcm.faults.play("slow", seconds=20)
    assert both.send([android(), android("cid")]) == [Unknown("timeout")] * 2
    assert both.send([android("dan"), android("eve")]) == [TryLater("provider_paused", 30.0)] * 2
    assert not {"token-of-dan", "token-of-eve"} & set(taken(fcm))


@pytest.mark.parametrize(("asked", "seconds"), [("7", 30.0), ("120", 120.0), ("86400", 3_600.0)])
def test_a_pause_is_as_long_as_the_provider_asks_and_bounded(both, fcm, now, asked, seconds):
    fcm.faults.play("unavailable", retry_after=asked)
    both.send([android()])
    assert both.send([android()]) == [TryLater("provider_paused", seconds)]
    assert fcm.requests == 1


def test_after_a_pause_one_draft_finds_out_whether_it_is_over(both, fcm, now):
    fcm.faults.play("unavailable", times=2)
    both.send([android(), android("cid")])
    both.pauses.clock = lambda: now + 30
    outcomes = both.send([android(name) for name in ("dan", "eve", "fay")])
    assert isinstance(outcomes[0], Accepted)
    assert outcomes[1:] == [TryLater("provider_paused")] * 2
    assert [type(one) for one in both.send([android("eve"), android("fay")])] == [Accepted] * 2


def test_two_that_went_away_one_after_the_other_pause_the_channel(both, fcm, apns, now):
    fcm.faults.play("unavailable")
    apns.faults.play("Shutdown")
    both.send([android()])
    assert both.send([iphone()]) == [TryLater("shutdown", everybody=True)]


def test_both_being_away_pauses_the_channel(both, fcm, apns):
    fcm.faults.play("unavailable")
    apns.faults.play("Shutdown")
    assert both.send([iphone(), android()]) == [
        TryLater("shutdown", everybody=True),
        TryLater("unavailable", everybody=True),
    ]


def test_two_slow_providers_share_one_deadline(both, fcm, apns, settings):
    both.send([iphone(), android()])
    settings.PROVIDER_TIMEOUT_SECONDS = 1
    fcm.faults.play("slow", seconds=20)
    apns.faults.play("slow", seconds=20)
    started = time.monotonic()
    assert both.send([iphone(), android()]) == [Unknown("timeout", everybody=True)] * 2
    assert time.monotonic() - started < 10  # not 20; the machine may be busy


def test_both_providers_are_asked_at_the_same_time(both, fcm, apns, monkeypatch):
    """Neither answers before the other was asked; in a row, each would want a deadline."""
    met = threading.Barrier(2, timeout=5)
    for provider in (fcm, apns):
        monkeypatch.setattr(provider, "_deliver", once_met(met, provider._deliver))
    assert [type(one) for one in both.send([iphone(), android()])] == [Accepted] * 2
    assert not met.broken


def once_met(met, deliver):
    def wait_and_deliver(*asked):
        with suppress(threading.BrokenBarrierError):
            met.wait()
        return deliver(*asked)

    return wait_and_deliver


def test_a_provider_that_breaks_leaves_the_answers_of_the_other(both, monkeypatch):
    def broken(drafts):
        raise RuntimeError("a mistake of ours")

    monkeypatch.setattr(both.apns, "send", broken)
    first, second = both.send([iphone(), android()])
    assert first == Unknown("channel_broke")
    assert isinstance(second, Accepted)


def test_with_google_alone_everything_is_as_it_was(fcm, closed_port, settings):
    channel = PushChannel()
    assert [type(o) for o in channel.send([iphone(), android()])] == [Accepted] * 2
    assert sorted(taken(fcm)) == sorted([apple_token("ann"), "token-of-bob"])
    assert channel.provider_of(iphone()) == "fcm"
    fcm.faults.play("unavailable")
    assert channel.send([iphone()]) == [TryLater("unavailable", everybody=True)]
    channel.fcm.account = type(channel.fcm.account)(
        "p", "e", f"https://localhost:{closed_port}/token", channel.fcm.account.signer
    )
    channel.fcm.token = ""
    with pytest.raises(ChannelUnavailable):
        channel.send([iphone()])


def test_with_apple_alone_other_devices_have_no_provider(apns):
    channel = PushChannel()
    outcomes = channel.send([iphone(), android()])
    assert isinstance(outcomes[0], Accepted)
    assert outcomes[1] == Refused("no_provider")
    apns.faults.play("Shutdown")
    assert channel.send([iphone()]) == [TryLater("shutdown", everybody=True)]


def test_without_a_provider_the_channel_is_not_set_up(settings):
    settings.FCM_CREDENTIALS_FILE = settings.APNS_KEY_FILE = ""
    with pytest.raises(ChannelNotConfigured, match="ENGAGE_FCM_CREDENTIALS_FILE is not set"):
        PushChannel()
