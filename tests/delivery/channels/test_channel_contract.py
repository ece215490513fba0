"""What every channel promises, whatever it speaks."""

import resource
import socket
import time
from dataclasses import replace

import pytest

from delivery.drafts import Accepted, Refused, TryLater, Unknown
from delivery.errors import ChannelUnavailable

CHANNELS = [
    "over_smtp",
    "over_esp",
    "over_fcm",
    "over_apns",
    "over_both_to_android",
    "over_both_to_ios",
    "over_web_push",
    "over_sms",
    "over_webhook",
    pytest.param("over_inbox", marks=pytest.mark.django_db(transaction=True)),
]


@pytest.fixture(params=CHANNELS)
def one(request):
    return request.getfixturevalue(request.param)


def test_every_draft_is_accepted_in_order_and_once(one):
    drafts = [one.draft(f"person{n}") for n in range(one.channel.batch_size)]
    outcomes = one.channel.send(drafts)
    assert [type(outcome) for outcome in outcomes] == [Accepted] * len(drafts)
    assert sorted(one.accepted()) == sorted(str(draft.key) for draft in drafts)


def test_outcomes_keep_the_order_of_the_drafts_when_answers_do_not(one):
    one.play("slow", "first", seconds=0.3)
    one.play(one.gone, "bad")
    one.play(one.later, "busy")
    names = ["first", "bad", "ann", "busy", "bob", "bad", "cid"]
    outcomes = one.channel.send([one.draft(name) for name in names])
    assert [type(outcome) for outcome in outcomes] == [
        Accepted, Refused, Accepted, TryLater, Accepted, Refused, Accepted,
    ]  # fmt: skip


def test_nothing_to_send_is_no_call(one):
    assert one.channel.send([]) == []
    assert one.accepted() == []


def test_one_bad_recipient_leaves_the_others_alone(one):
    one.play(one.gone, "bad")
    first, second, third = one.channel.send([one.draft(name) for name in ("ann", "bad", "cid")])
    assert isinstance(first, Accepted)
    assert isinstance(second, Refused)
    assert second.gone
    assert isinstance(third, Accepted)
    assert len(one.accepted()) == 2


def test_later_is_said_of_the_one_it_is_true_of(one):
    one.play(one.later, "busy")
    outcomes = one.channel.send([one.draft("busy"), one.draft("ann")])
    assert isinstance(outcomes[0], TryLater)
    assert isinstance(outcomes[1], Accepted)


def test_accepted_and_never_answered_is_unknown_and_not_repeated(one):
    one.channel.send([one.draft("first")])  # the connection is a kept one then
    one.play("accept_then_reset", "ann", times=1)
    draft = one.draft("ann")
    [outcome] = one.channel.send([draft])
    assert isinstance(outcome, Unknown)
    assert one.accepted().count(str(draft.key)) == 1


def test_a_call_that_breaks_is_not_repeated_by_the_channel(one):
    """The fault plays once: a second try would get through."""
    one.channel.send([one.draft("first")])
    one.play("reset", "ann", times=1)
    draft = one.draft("ann")
    [outcome] = one.channel.send([draft])
    assert isinstance(outcome, Unknown)
    assert str(draft.key) not in one.accepted()


def test_the_channel_goes_on_after_a_broken_connection(one):
    one.play("accept_then_reset", "ann", times=1)
    one.channel.send([one.draft("ann")])
    [outcome] = one.channel.send([one.draft("bob")])
    assert isinstance(outcome, Accepted)


def test_a_slow_provider_gives_the_worker_back_at_the_deadline(one, settings):
    one.channel.send([one.draft("first")])  # connected, however long it takes
    settings.PROVIDER_TIMEOUT_SECONDS = 1
    one.play("slow", "ann", seconds=20)
    draft = one.draft("ann")
    started = time.monotonic()
    [outcome] = one.channel.send([draft])
    assert time.monotonic() - started < 10  # not 20; the machine may be busy
    one.provider.faults.stop()
    assert one.accepted().count(str(draft.key)) <= 1  # a second try would take as long again
    assert isinstance(outcome, Unknown)
    assert outcome.everybody == one.is_one_provider  # or each next group would be unknown


@pytest.mark.parametrize("one", CHANNELS[:-1], indirect=True)  # an inbox has no bytes
def test_a_byte_now_and_then_does_not_hold_the_worker_longer(one, settings):
    one.channel.send([one.draft("first")])  # connected, however long it takes
    settings.PROVIDER_TIMEOUT_SECONDS = 2
    one.play("drip", "ann")
    started = time.monotonic()
    [outcome] = one.channel.send([one.draft("ann")])
    assert 1 < time.monotonic() - started < 6  # the machine may be busy
    assert isinstance(outcome, Unknown)


def test_an_unreachable_provider_is_unavailable(one):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        channel = one.make_elsewhere(closed.getsockname()[1])
    try:
        outcomes = channel.send([one.draft("ann", elsewhere=True)])
    except ChannelUnavailable:
        outcomes = [TryLater("unavailable", everybody=True)]
    assert [(type(o), o.everybody) for o in outcomes] == [(TryLater, one.is_one_provider)]
    assert one.accepted() == []


def test_an_address_that_is_none_is_refused_without_a_call(one):
    [outcome] = one.channel.send([one.draft("")])
    assert outcome == Refused("invalid_address")
    assert one.accepted() == []


def test_what_is_too_large_is_refused_without_a_call(one):
    drafts = [replace(one.draft("ann"), content=one.too_large), one.draft("bob")]
    outcomes = one.channel.send(drafts)
    assert outcomes[0] == Refused(one.too_large_reason)
    assert isinstance(outcomes[1], Accepted)
    assert one.accepted() == [str(drafts[1].key)]


def test_an_answer_that_makes_no_sense_is_unknown(one):
    if not one.malformed:
        pytest.skip("its word is the status, or it answers in rows")
    one.play(one.malformed, "ann", times=1)
    assert [type(o) for o in one.channel.send([one.draft("ann")])] == [Unknown]
    assert [type(o) for o in one.channel.send([one.draft("bob")])] == [Accepted]


def test_an_answer_without_end_is_cut_off(one):
    if not one.endless:
        pytest.skip("an SMTP reply line is bounded by the standard library; rows are ours")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    one.play(one.endless, "ann", times=1)
    assert one.channel.send([one.draft("ann")]) == [Unknown("answer_too_large")]
    # The provider lives in this process too and holds what the window lets through.
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # kB of 1 GB


def test_a_reason_never_repeats_the_address(one):
    one.play(one.chatty, "ann")
    draft = one.draft("ann")
    [outcome] = one.channel.send([draft])
    assert isinstance(outcome, Refused | TryLater)
    assert one.match("ann") not in outcome.reason.lower()
