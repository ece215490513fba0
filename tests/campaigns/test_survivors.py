"""Messages that a server asked for, of people who become part of others on the way."""

from collections import Counter
from datetime import timedelta

import pytest

from campaigns import compose, lifecycle, sending, survivors, transactional
from campaigns.models import Campaign, Occasion, Run
from delivery import outbox
from delivery.drafts import TryLater, Unknown
from delivery.models import Message, WebhookEndpoint
from engage.lib import clock
from engage.profiles import erasure, people
from engage.profiles.models import Device, Erasure, Profile
from engage.profiles.store import store_events
from tests.delivery.sending import RecordingChannel, use_channel
from tests.engage.profiles.events import alias
from tests.factories import make_campaign, make_message, make_profile, make_template

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis_keys")]
ADA, LOVELACE, KING = "ada@shop.example", "lovelace@shop.example", "king@shop.example"


def launched(*, channel: str = "email", **fields) -> Campaign:
    said = {"subject": "{{ event.order }}", "title": "{{ event.order }}", "body": "Thank you"}
    endpoint = fields.pop("endpoint", None)
    template = make_template(channel=channel, **(said | fields))
    campaign = make_campaign(channel=channel, template=template, schedule="api", endpoint=endpoint)
    lifecycle.launch(campaign, now=clock.now())
    return campaign


@pytest.fixture
def receipt() -> Campaign:
    return launched()


@pytest.fixture
def channel() -> RecordingChannel:
    return use_channel(RecordingChannel())


@pytest.fixture
def ada() -> Profile:
    return make_profile(user_id="ada", email=ADA)


@pytest.fixture
def lovelace() -> Profile:
    return make_profile(user_id="lovelace", email=LOVELACE)


def ask(campaign, person, *, key="order-17", order=17) -> transactional.Asked:
    return transactional.ask(
        campaign.pk, person.pk, key=key, properties={"order": order}, now=clock.now()
    )


def merge(loser: str, winner: str) -> None:
    store_events([alias(loser, winner)], now=clock.now())


def send(name: str = "email", *, times: int = 1) -> None:
    for _ in range(times):
        sending.send_chunk(name, now=clock.now())


def fates() -> Counter:
    return Counter(Message.objects.values_list("profile_id", "state", "reason"))


def counters(campaign) -> tuple[int, int, int]:
    """Audience, planned, and the sum over all states of messages."""
    run = campaign.runs.get()
    return run.audience, run.planned, sum(outbox.count_states(run.pk).values())


# --- whenever the merge comes ------------------------------------------------------------------


def test_merged_before_the_claim_it_goes_to_the_survivors_address(receipt, channel, ada, lovelace):
    ask(receipt, ada)
    merge("ada", "lovelace")
    send(times=3)
    [[draft]] = channel.calls
    assert (draft.address, draft.content.subject) == (LOVELACE, "17")
    assert fates() == {
        (ada.pk, "suppressed", "merged"): 1,
        (lovelace.pk, "accepted", ""): 1,
    }
    assert counters(receipt) == (1, 2, 2)


def test_merged_while_it_is_composed_it_goes_to_the_survivor(ada, lovelace, monkeypatch):
    """What is composed of somebody who is no more says nothing, not even an abort."""
    inbox = use_channel(RecordingChannel(), name="inbox")
    aborting = "{% unless profile.email %}{% abort_message %}{% endunless %}Thank you"
    campaign = launched(channel="inbox", body=aborting)

    def meanwhile(messages, *, now):
        if messages[0].profile_id == ada.pk:
            merge("ada", "lovelace")
        return compose.compose(messages, now=now)

    monkeypatch.setattr(sending, "compose", meanwhile)
    ask(campaign, ada)
    send("inbox", times=3)
    assert inbox.addresses == [str(lovelace.pk)]
    assert fates()[ada.pk, "suppressed", "merged"] == 1


def test_merged_between_claim_and_mark_it_goes_to_the_survivor(
    receipt, channel, ada, lovelace, monkeypatch
):
    move_on = survivors.move_on

    def meanwhile(messages, *, now):
        moved = move_on(messages, now=now)
        if not Profile.objects.filter(pk=ada.pk).exclude(merged_into=None).exists():
            merge("ada", "lovelace")
        return moved

    monkeypatch.setattr(survivors, "move_on", meanwhile)
    ask(receipt, ada)
    send()
    assert (channel.calls, fates()) == ([], {(ada.pk, "planned", ""): 1})
    send(times=3)
    assert channel.addresses == [LOVELACE]
    assert counters(receipt) == (1, 2, 2)


@pytest.mark.parametrize(
    ("answer", "fate"),
    [(None, ("accepted", "")), (Unknown("timeout"), ("suppressed", "merged"))],
)
def test_merged_in_the_call_or_after_it_nothing_more_is_sent(
    receipt, channel, ada, lovelace, answer, fate
):
    """Of whom nothing is known there would be another call after five minutes."""
    channel.before_answering = lambda drafts: merge("ada", "lovelace")
    if answer:
        channel.answers[ADA] = answer
    ask(receipt, ada)
    for minutes in (0, 6, 7):
        sending.send_chunk("email", now=clock.now() + timedelta(minutes=minutes))
    assert channel.addresses == [ADA]
    assert fates() == {(ada.pk, *fate): 1}
    assert counters(receipt) == (1, 1, 1)


def test_what_the_provider_certainly_did_not_take_moves_on(receipt, channel, ada, lovelace):
    channel.before_answering = lambda drafts: merge("ada", "lovelace")
    channel.answers[ADA] = TryLater("503")
    ask(receipt, ada)
    send()
    channel.before_answering = lambda drafts: None
    for seconds in (60, 61):
        sending.send_chunk("email", now=clock.now() + timedelta(seconds=seconds))
    assert channel.addresses == [ADA, LOVELACE]
    assert fates()[lovelace.pk, "accepted", ""] == 1


def test_who_became_two_others_in_turn_is_reached_as_the_last(receipt, channel, ada, lovelace):
    king = make_profile(user_id="king", email=KING)
    ask(receipt, ada)
    merge("ada", "lovelace")
    send()
    merge("lovelace", "king")
    send(times=3)
    assert channel.addresses == [KING]
    assert fates() == {
        (ada.pk, "suppressed", "merged"): 1,
        (lovelace.pk, "suppressed", "merged"): 1,
        (king.pk, "accepted", ""): 1,
    }
    assert counters(receipt) == (1, 3, 3)
    [draft] = channel.calls[0]
    assert draft.content.subject == "17"


def test_two_merges_before_the_claim_take_one_step(receipt, channel, ada, lovelace):
    make_profile(user_id="king", email=KING)
    ask(receipt, ada)
    merge("ada", "lovelace")
    merge("lovelace", "king")
    send(times=2)
    assert channel.addresses == [KING]
    assert counters(receipt) == (1, 2, 2)


def test_a_claim_that_lost_its_lease_moves_nothing(monkeypatch):
    use_channel(RecordingChannel(), name="push")
    ada = make_profile(user_id="ada", push_token="t1")
    make_profile(user_id="lovelace", push_token="t2")
    campaign = launched(channel="push")
    ask(campaign, ada)
    merge("ada", "lovelace")

    move_on = survivors.move_on

    def late(messages, *, now):
        Message.objects.update(state="planned", lease_token=None, lease_until=None)
        return move_on(messages, now=now)

    monkeypatch.setattr(survivors, "move_on", late)
    send("push")
    assert fates() == {(ada.pk, "planned", ""): 1}
    assert counters(campaign) == (1, 1, 1)


# --- asked again -------------------------------------------------------------------------------


def test_the_same_wish_after_the_merge_answers_all_its_messages(receipt, channel, ada, lovelace):
    ask(receipt, ada)
    merge("ada", "lovelace")
    send(times=2)
    again = ask(receipt, lovelace)
    assert again.repeated
    assert [(one.profile_id, one.state, one.reason) for one in again.messages] == [
        (ada.pk, "suppressed", "merged"),
        (lovelace.pk, "accepted", ""),
    ]
    assert ask(receipt, ada) == again  # by a request that was looking them up before the merge
    send()
    assert channel.addresses == [LOVELACE]
    [kept] = people.get_person(lovelace.pk)["occasions"]
    assert kept["message_ids"] == [str(one.id) for one in again.messages]


def test_who_was_looked_up_before_the_merge_is_asked_for_as_the_survivor(receipt, ada, lovelace):
    merge("ada", "lovelace")
    assert [one.profile_id for one in ask(receipt, ada).messages] == [lovelace.pk]


def test_one_wish_for_both_is_one_message(receipt, channel, ada, lovelace):
    for person in (ada, lovelace):
        ask(receipt, person)
    merge("ada", "lovelace")
    send(times=3)
    assert channel.addresses == [LOVELACE]
    assert counters(receipt) == (2, 2, 2)
    assert len(ask(receipt, lovelace).messages) == 2


def test_one_key_for_two_occasions_is_two_messages(receipt, channel, ada, lovelace):
    ask(receipt, ada, order=17)
    ask(receipt, lovelace, order=18)
    merge("ada", "lovelace")
    send(times=3)
    drafts = [draft for call in channel.calls for draft in call]
    assert sorted((draft.address, draft.content.subject) for draft in drafts) == [
        (LOVELACE, "17"),
        (LOVELACE, "18"),
    ]
    assert counters(receipt) == (2, 3, 3)
    assert [one.state for one in ask(receipt, lovelace, order=18).messages] == ["accepted"]


# --- pushes ------------------------------------------------------------------------------------


def plan_for_two_devices(now) -> Campaign:
    """A push for ada's phone and tablet, t1 and t2; lovelace has t3."""
    ada = make_profile(user_id="ada", push_token="t1")
    Device.objects.create(profile=ada, device_id="tablet", token="t2", last_seen=now)
    make_profile(user_id="lovelace", push_token="t3")
    campaign = launched(channel="push")
    ask(campaign, ada)
    return campaign


def test_a_push_reaches_every_device_of_both_once(now):
    phone = use_channel(RecordingChannel(), name="push")
    campaign = plan_for_two_devices(now)
    merge("ada", "lovelace")
    send("push", times=3)
    assert sorted(phone.addresses) == ["t1", "t2", "t3"]
    assert counters(campaign) == (1, 5, 5)


def test_a_push_does_not_reach_again_the_device_that_has_it(now):
    phone = use_channel(RecordingChannel(), name="push")
    plan_for_two_devices(now)
    later = clock.now() + timedelta(hours=1)
    Message.objects.filter(address_id="tablet").update(not_before=later)
    send("push")
    merge("ada", "lovelace")
    Message.objects.filter(address_id="tablet").update(not_before=clock.now())
    send("push", times=3)
    assert phone.addresses[0] == "t1"
    assert sorted(phone.addresses) == ["t1", "t2", "t3"]


def test_who_had_no_device_gets_it_on_the_survivors():
    phone = use_channel(RecordingChannel(), name="push")
    ada = make_profile(user_id="ada")
    make_profile(user_id="lovelace", push_token="t3")
    ask(launched(channel="push"), ada)
    merge("ada", "lovelace")
    send("push", times=2)
    assert phone.addresses == ["t3"]


# --- what may be there already -----------------------------------------------------------------


def test_a_webhook_keeps_its_key_so_that_the_receiver_takes_it_once(ada, lovelace):
    hook = use_channel(RecordingChannel(), name="webhook")
    endpoint = WebhookEndpoint.objects.create(name="till", url="https://till.example/hook")
    campaign = launched(
        channel="webhook", body='{"order": {{ event.order | json }}}', endpoint=endpoint
    )
    hook.answers[endpoint.url] = Unknown("timeout")
    ask(campaign, ada)
    send("webhook")
    merge("ada", "lovelace")
    hook.answers.clear()
    for seconds in (60, 61):
        sending.send_chunk("webhook", now=clock.now() + timedelta(seconds=seconds))
    [first], [second] = hook.calls
    assert first.key == second.key
    assert fates()[lovelace.pk, "accepted", ""] == 1


def test_an_inbox_that_may_have_it_gets_no_second_one(ada, lovelace):
    inbox = use_channel(RecordingChannel(), name="inbox")
    inbox.answers[str(ada.pk)] = Unknown("timeout")
    ask(launched(channel="inbox"), ada)
    send("inbox")
    merge("ada", "lovelace")
    for seconds in (60, 61):
        sending.send_chunk("inbox", now=clock.now() + timedelta(seconds=seconds))
    assert inbox.addresses == [str(ada.pk)]
    assert fates() == {(ada.pk, "suppressed", "merged"): 1}


# --- who gets nothing --------------------------------------------------------------------------


def test_a_survivor_who_is_being_erased_gets_nothing(receipt, channel, ada, lovelace):
    ask(receipt, ada)
    merge("ada", "lovelace")
    Erasure.objects.create(profile_id=lovelace.pk, requested_at=clock.now())
    send(times=2)
    assert (channel.calls, fates()) == ([], {(ada.pk, "suppressed", "merged"): 1})
    assert counters(receipt) == (1, 1, 1)


def test_erasing_the_survivor_takes_the_wish_and_what_is_planned(receipt, channel, ada, lovelace):
    ask(receipt, ada)
    merge("ada", "lovelace")
    send()
    erasure.erase(lovelace.pk, now=clock.now())
    send(times=2)
    assert channel.calls == []
    assert fates()[lovelace.pk, "suppressed", "erased"] == 1
    assert not Occasion.objects.exists()


def test_what_was_paused_moves_on_when_it_is_resumed(receipt, channel, ada, lovelace):
    ask(receipt, ada)
    lifecycle.pause(receipt, now=clock.now())
    merge("ada", "lovelace")
    send(times=2)
    assert fates() == {(ada.pk, "planned", ""): 1}
    lifecycle.resume(receipt, now=clock.now())
    send(times=2)
    assert channel.addresses == [LOVELACE]


def test_of_a_cancelled_run_nothing_moves_on(receipt, channel, ada, lovelace, monkeypatch):
    move_on = survivors.move_on

    def meanwhile(messages, *, now):
        Run.objects.update(state="cancelled")
        return move_on(messages, now=now)

    monkeypatch.setattr(survivors, "move_on", meanwhile)
    ask(receipt, ada)
    merge("ada", "lovelace")
    send()
    assert (channel.calls, fates()) == ([], {(ada.pk, "suppressed", "merged"): 1})
    assert counters(receipt) == (1, 1, 1)


def test_a_campaign_of_the_marketer_does_not_follow(channel, ada, lovelace):
    """They may both be in its audience."""
    variant = make_campaign(state="active").variants.get()
    make_message(profile=ada, variant_id=variant.pk, now=clock.now())
    merge("ada", "lovelace")
    send(times=2)
    assert (channel.calls, fates()) == ([], {(ada.pk, "suppressed", "merged"): 1})
