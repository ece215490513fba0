"""What every channel promises, whatever it speaks."""

import socket
import time
from dataclasses import dataclass
from typing import Any

import pytest

from delivery.channels.fcm import FcmChannel
from delivery.channels.smtp import SmtpChannel
from delivery.drafts import Accepted, Refused, TryLater, Unknown
from delivery.errors import ChannelUnavailable
from tests.delivery.channels.drafts import mail_draft, push_draft
from tests.providers import ledger


@dataclass
class Setting:
    """A channel, its provider, and the names of the same fault in its provider's words."""

    channel: Any
    provider: Any
    draft: Any
    gone: str
    later: str

    def accepted(self) -> list[str]:
        return [line["key"] for line in ledger.read(self.provider.ledger.path)]


@pytest.fixture(params=["email", "push"])
def one(request):
    if request.param == "email":
        mail, sink = request.getfixturevalue("mail"), request.getfixturevalue("sink")
        return Setting(mail, sink, mail_draft, "rcpt:550 5.1.1 unknown", "rcpt:451 4.7.1 later")
    push, fcm = request.getfixturevalue("push"), request.getfixturevalue("fcm")
    return Setting(push, fcm, push_draft, "unregistered", "unavailable")


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


def test_an_unreachable_provider_is_unavailable(one, settings):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    settings.SMTP_URL = f"smtp://127.0.0.1:{port}"
    settings.FCM_URL = f"https://localhost:{port}"
    channel = SmtpChannel() if isinstance(one.channel, SmtpChannel) else FcmChannel()
    try:
        outcomes = channel.send([one.draft("ann@shop.example")])
    except ChannelUnavailable:
        outcomes = [TryLater("unavailable", everybody=True)]
    assert [(type(o), o.everybody) for o in outcomes] == [(TryLater, True)]
    assert one.accepted() == []


def test_an_address_that_is_none_is_refused_without_a_call(one):
    [outcome] = one.channel.send([one.draft("")])
    assert outcome == Refused("invalid_address")
    assert one.accepted() == []
