"""What every channel promises, whatever it speaks."""

import socket
import time
from dataclasses import dataclass
from typing import Any

import pytest

from delivery.channels.fcm import FcmChannel
from delivery.channels.sms import SmsChannel
from delivery.channels.smtp import SmtpChannel
from delivery.channels.webhook import WebhookChannel
from delivery.drafts import Accepted, Refused, TryLater, Unknown
from delivery.errors import ChannelUnavailable
from tests.delivery.channels.drafts import mail_draft, push_draft, sms_draft, webhook_draft
from tests.providers import ledger


@dataclass
class Setting:
    """A channel, its provider, and the names of the same fault in its provider's words."""

    channel: Any
    provider: Any
    draft: Any
    gone: str
    later: str
    move: Any  # points the settings at another port; a channel, and a draft to one who is there
    everybody: bool = True  # one provider for all: when it is away, it is away for everybody

    def accepted(self) -> list[str]:
        return [line["key"] for line in ledger.read(self.provider.ledger.path)]


@pytest.fixture(params=["email", "push", "sms", "webhook"])
def one(request, settings):
    return SETTINGS[request.param](request.getfixturevalue, settings)


def email(get, settings):
    def move(port):
        settings.SMTP_URL = f"smtp://127.0.0.1:{port}"
        return SmtpChannel(), mail_draft()

    return Setting(
        get("mail"),
        get("sink"),
        mail_draft,
        "rcpt:550 5.1.1 unknown",
        "rcpt:451 4.7.1 later",
        move,
    )


def push(get, settings):
    def move(port):
        settings.FCM_URL = f"https://localhost:{port}"
        return FcmChannel(), push_draft()

    return Setting(get("push"), get("fcm"), push_draft, "unregistered", "unavailable", move)


def sms(get, settings):
    def move(port):
        settings.SMS_URL = f"https://localhost:{port}"
        return SmsChannel(), sms_draft()

    return Setting(get("sms"), get("texter"), sms_draft, "21610", "unavailable", move)


def webhook(get, settings):
    receiver = get("receiver")

    def draft(name):
        return webhook_draft(f"{receiver.url}/{name}" if name else "")

    def move(port):
        settings.PRIVATE_HOSTS = [("localhost", port)]
        return WebhookChannel(), webhook_draft(f"https://localhost:{port}/")

    return Setting(get("hook"), receiver, draft, "410", "503", move, everybody=False)


SETTINGS = {"email": email, "push": push, "sms": sms, "webhook": webhook}


def test_every_draft_is_accepted_in_order_and_once(one):
    drafts = [one.draft(f"person{n}@shop.example") for n in range(one.channel.batch_size)]
    outcomes = one.channel.send(drafts)
    assert [type(outcome) for outcome in outcomes] == [Accepted] * len(drafts)
    assert sorted(one.accepted()) == sorted(str(draft.key) for draft in drafts)


def test_nothing_to_send_is_no_call(one):
    assert one.channel.send([]) == []
    assert one.accepted() == []


def test_one_bad_recipient_leaves_the_others_alone(one):
    one.provider.faults.play(one.gone, match="bad")
    drafts = [one.draft(f"{name}@shop.example") for name in ("ann", "bad", "cid")]
    first, second, third = one.channel.send(drafts)
    assert isinstance(first, Accepted)
    assert isinstance(second, Refused)
    assert second.gone
    assert isinstance(third, Accepted)
    assert len(one.accepted()) == 2


def test_later_is_said_of_the_one_it_is_true_of(one):
    one.provider.faults.play(one.later, match="busy")
    outcomes = one.channel.send([one.draft("busy@shop.example"), one.draft("ann@shop.example")])
    assert isinstance(outcomes[0], TryLater)
    assert isinstance(outcomes[1], Accepted)


def test_accepted_and_never_answered_is_unknown_and_not_repeated(one):
    one.channel.send([one.draft("first@shop.example")])  # the connection is a kept one then
    one.provider.faults.play("accept_then_reset", match="ann", times=1)
    draft = one.draft("ann@shop.example")
    [outcome] = one.channel.send([draft])
    assert isinstance(outcome, Unknown)
    assert one.accepted().count(str(draft.key)) == 1


def test_the_channel_goes_on_after_a_broken_connection(one):
    one.provider.faults.play("accept_then_reset", match="ann", times=1)
    one.channel.send([one.draft("ann@shop.example")])
    [outcome] = one.channel.send([one.draft("bob@shop.example")])
    assert isinstance(outcome, Accepted)


def test_a_slow_provider_gives_the_worker_back_at_the_deadline(one, settings):
    settings.PROVIDER_TIMEOUT_SECONDS = 1
    one.channel.send([one.draft("first@shop.example")])
    one.provider.faults.play("slow", match="ann", seconds=20)
    started = time.monotonic()
    [outcome] = one.channel.send([one.draft("ann@shop.example")])
    assert time.monotonic() - started < 2
    assert isinstance(outcome, Unknown)


def test_an_unreachable_provider_is_unavailable(one):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    channel, draft = one.move(port)
    try:
        outcomes = channel.send([draft])
    except ChannelUnavailable:
        outcomes = [TryLater("unavailable", everybody=True)]
    assert [(type(o), o.everybody) for o in outcomes] == [(TryLater, one.everybody)]
    assert one.accepted() == []


def test_an_address_that_is_none_is_refused_without_a_call(one):
    [outcome] = one.channel.send([one.draft("")])
    assert outcome == Refused("invalid_address")
    assert one.accepted() == []
