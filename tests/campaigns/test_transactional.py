"""Messages that a server asks for, from the request to the door out."""

import json
from datetime import timedelta

import pytest
from django.urls import reverse

from campaigns import lifecycle, occasions, runs, sending, transactional
from campaigns.compose import compose
from campaigns.models import Campaign, Occasion, Run
from delivery import replay, suppression
from delivery.models import Cap, Message, QuietHours, WebhookEndpoint
from delivery.policy import Drop
from engage.collector import access
from engage.lib import clock
from engage.profiles import consents, erasure, people
from engage.profiles.models import Device, Profile
from tests.delivery.sending import RecordingChannel, claim, mark, use_channel
from tests.factories import make_campaign, make_message, make_profile, make_segment, make_template

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis_keys")]
BODY = "<p>Order {{ event.order }} of {{ profile.first_name }}</p>"


@pytest.fixture
def person() -> Profile:
    """Nobody asked them whether they want mail."""
    return make_profile(user_id="ada", email="ada@shop.example", first_name="Ada")


@pytest.fixture
def receipt(now) -> Campaign:
    return launched(now=clock.now(), body=BODY, subject="Order {{ event.order }}")


def launched(*, now, channel="email", body=BODY, **fields) -> Campaign:
    template = make_template(channel=channel, body=body, **fields)
    campaign = make_campaign(channel=channel, template=template, schedule="api")
    lifecycle.launch(campaign, now=now)
    return campaign


def post(client, asked, *, key="order-17", order=17, server_key=None, **fields):
    access.forget_keys()
    bearer = server_key or access.create_key("shop", kind="server")
    body = {
        "campaign": getattr(asked, "pk", asked), "userId": "ada", "key": key,
        "properties": {"order": order},
    }  # fmt: skip
    return client.post(
        "/v1/messages", json.dumps(body | fields), content_type="application/json",
        headers={"authorization": f"Bearer {bearer}"},
    )  # fmt: skip


# --- asking ----------------------------------------------------------------------------------


def test_a_server_asks_and_a_message_is_on_its_way(client, receipt, person):
    answer = post(client, receipt)
    message = Message.objects.get()
    assert (answer.status_code, answer.json()) == (
        200,
        {
            "repeated": False,
            "messages": [
                {"id": str(message.id), "channel": "email", "state": "planned", "reason": ""}
            ],
        },
    )
    assert (message.kind, message.profile_id) == ("transactional", person.pk)
    assert message.run_id == receipt.runs.get().pk
    [draft] = compose([message])
    assert draft.content.subject == "Order 17"
    assert "<p>Order 17 of Ada</p>" in draft.content.html
    assert draft.content.unsubscribe_url == ""
    assert receipt.runs.values_list("audience", "planned").get() == (1, 1)


def test_a_repeated_wish_answers_what_became_of_the_message(client, receipt, person):
    first = post(client, receipt).json()
    Message.objects.update(state="accepted")
    again = post(client, receipt).json()
    assert again == {"repeated": True, "messages": [first["messages"][0] | {"state": "accepted"}]}
    assert Message.objects.count() == Occasion.objects.count() == 1
    assert receipt.runs.values_list("audience", "planned").get() == (1, 1)


def test_another_key_is_another_message_of_the_same_person(client, receipt, person):
    for number in (17, 18):
        assert post(client, receipt, key=f"order-{number}", order=number).status_code == 200
    drafts = compose(list(Message.objects.order_by("id")))
    assert [draft.content.subject for draft in drafts] == ["Order 17", "Order 18"]


def test_a_key_for_another_wish_is_refused(client, receipt, person):
    post(client, receipt)
    answer = post(client, receipt, order=18)
    assert (answer.status_code, answer.json()["code"]) == (409, "key_reused")
    assert Message.objects.count() == 1


def test_a_key_that_is_forgotten_after_30_days_is_a_new_wish(receipt, person):
    start = clock.now()
    for days, order, repeated in ((0, 17, False), (29, 17, True), (31, 18, False)):
        now = start + timedelta(days=days)
        occasions.drop_old(sweeps=1, now=now)
        asked = transactional.ask(
            receipt.pk, person.pk, key="order", properties={"order": order}, now=now
        )
        assert (len(asked.messages), asked.repeated) == (1, repeated)
    assert Message.objects.count() == 2
    assert receipt.runs.values_list("audience", "planned").get() == (2, 2)


def test_a_wish_whose_message_cannot_be_written_is_no_success(receipt, person):
    def ask() -> transactional.Asked:
        return transactional.ask(receipt.pk, person.pk, key="order", properties={}, now=now)

    now = clock.now()
    ask()
    Occasion.objects.all().delete()
    with pytest.raises(RuntimeError, match="are there already"):
        ask()
    assert Occasion.objects.count() == 0
    assert receipt.runs.values_list("audience", "planned").get() == (1, 1)


def test_a_wish_is_known_after_its_person_became_part_of_another(client, receipt, person):
    post(client, receipt)
    other = make_profile(user_id="lovelace")
    Profile.objects.filter(pk=person.pk).update(merged_into=other.pk)
    assert post(client, receipt, userId="lovelace").json()["repeated"] is True
    assert Message.objects.count() == 1


def test_a_push_goes_to_every_device(client, now):
    phone = make_profile(user_id="ada", push_token="t1")
    Device.objects.create(profile=phone, device_id="tablet", token="t2", last_seen=now)
    campaign = launched(now=clock.now(), channel="push", title="Order {{ event.order }}", body="")
    assert len(post(client, campaign).json()["messages"]) == 2
    drafts = compose(list(Message.objects.all()))
    assert [draft.content.title for draft in drafts] == ["Order 17", "Order 17"]


@pytest.mark.parametrize(
    ("fields", "status", "said"),
    [
        ({"userId": ""}, 400, "userId or anonymousId is needed"),
        ({"userId": "nobody"}, 404, "There is no profile with this id"),
        ({"userId": "a\x00"}, 404, "There is no profile with this id"),
        ({"userId": "a\ud800"}, 404, "There is no profile with this id"),
        ({"userId": 7}, 400, "body.body.userId"),
        ({"campaign": 4711}, 404, "There is no campaign 4711"),
        ({"campaign": 10**30}, 400, "body.body.campaign"),
        ({"key": ""}, 400, "key: expected 1 to 200 characters"),
        ({"key": "x" * 201}, 400, "key: expected 1 to 200 characters"),
        ({"key": "\x00"}, 400, "key, properties: no text has a NUL"),
        ({"properties": {"a": "\x00"}}, 400, "key, properties: no text has a NUL"),
        ({"properties": {"a\ud800": 1}}, 400, "key, properties: no text has a NUL"),
        ({"properties": {"a": float("nan")}}, 400, "properties: NaN"),
        ({"properties": {"a": "x" * 32_768}}, 400, "properties: 32,777 bytes"),
        ({"properties": []}, 400, "body.body.properties"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused_and_nothing_is_planned(
    client, receipt, person, fields, status, said
):
    answer = post(client, receipt, **fields)
    assert (answer.status_code, answer.json()["message"][: len(said)]) == (status, said)
    assert not Message.objects.exists()
    assert not Occasion.objects.exists()


def test_only_a_campaign_that_is_sent_so_and_now_can_be_asked_for(client, receipt, person):
    lifecycle.pause(receipt, now=clock.now())
    draft = make_campaign(schedule="api")
    for campaign in (receipt, draft, make_campaign(state="active")):
        answer = post(client, campaign)
        assert (answer.status_code, answer.json()["code"]) == (409, "illegal_move")
    lifecycle.resume(receipt, now=clock.now())
    assert post(client, receipt).status_code == 200


def test_a_person_who_is_being_erased_is_asked_for_in_vain(client, receipt, person):
    erasure.erase(person.pk, now=clock.now())
    assert post(client, receipt).status_code == 404
    assert not Occasion.objects.exists()


# --- at the door -----------------------------------------------------------------------------


def verdict(message, address) -> str:
    [leased] = claim(channel=message.channel, now=clock.now())
    [decision] = mark([leased], address=address, now=clock.now())
    return getattr(decision, "reason", "allow")


def test_neither_silence_nor_an_opt_out_cap_or_quiet_hour_keeps_it_back(client, receipt, person):
    consents.state_opt_out(person.pk, channel="email", stated_ms=1)
    suppression.suppress("ada@shop.example", channel="email", reason="unsubscribed")
    Cap.objects.create(name="none", most=1, period="hours", hours=720)
    QuietHours.objects.create(channel="", begin="00:00", end="23:59")
    for number in (1, 2):
        post(client, receipt, key=str(number))
        assert verdict(Message.objects.get(state="planned"), "ada@shop.example") == "allow"


@pytest.mark.parametrize("reason", ["bounced", "complained", "manual"])
def test_a_dead_or_complaining_address_gets_none(client, receipt, person, reason):
    suppression.suppress("ada@shop.example", channel="email", reason=reason)
    post(client, receipt)
    assert verdict(Message.objects.get(), "ada@shop.example") == "address_suppressed"


def test_stop_ends_these_texts_too(client):
    person = make_profile(user_id="ada", phone="+15550002222")
    campaign = launched(now=clock.now(), channel="sms", body="Code {{ event.order }}")
    post(client, campaign, key="1")
    assert verdict(Message.objects.get(), "+15550002222") == "allow"
    consents.state_opt_out(person.pk, channel="sms", stated_ms=1)
    post(client, campaign, key="2")
    assert verdict(Message.objects.get(state="planned"), "+15550002222") == "no_consent"


def test_an_opt_out_keeps_other_messages_of_the_address_back(person):
    consents.state_opt_out(person.pk, channel="email", stated_ms=1)
    message = make_message(profile=person, now=clock.now())
    assert verdict(message, "ada@shop.example") == "no_consent"


def test_a_pause_holds_what_was_asked_for_before(client, receipt, person):
    post(client, receipt)
    lifecycle.pause(receipt, now=clock.now())
    assert claim(now=clock.now()) == []
    lifecycle.resume(receipt, now=clock.now())
    assert verdict(Message.objects.get(), "ada@shop.example") == "allow"


# --- the campaign ----------------------------------------------------------------------------


def test_its_run_stays_open_until_it_is_cancelled(client, receipt, person):
    later = clock.now() + timedelta(days=400)
    assert runs.finish_done(later) == 0
    receipt.refresh_from_db()
    assert (receipt.state, receipt.runs.get().state) == ("active", Run.State.SENDING)
    post(client, receipt)
    lifecycle.cancel(receipt, now=later)
    assert Message.objects.get().state == "cancelled"
    assert receipt.runs.get().state == "cancelled"


def test_its_pages_say_what_was_asked_for(client, admin_client, receipt, person):
    for number in (1, 2):
        post(client, receipt, key=str(number))
    run = receipt.runs.get()
    page = admin_client.get(f"/admin/campaigns/run/{run.pk}/change/").content.decode()
    assert "Your server asked for 2 messages, 2 still open." in page
    people = admin_client.get(
        reverse("admin:campaigns_run_decisions", args=[run.pk])
    ).content.decode()
    assert "2 of 2 messages" in people
    assert people.count(">ada</a>") == 2
    campaign = admin_client.get(f"/admin/campaigns/campaign/{receipt.pk}/change/").content.decode()
    assert "each time your server asks, from now on" in campaign


def test_a_second_launch_opens_no_second_run(receipt):
    lifecycle.launch(receipt, now=clock.now())
    assert receipt.runs.count() == 1


def test_what_means_nothing_for_it_is_said_before_the_launch(now):
    campaign = make_campaign(
        schedule="api", segment=make_segment(), control_percent=5, spread=timedelta(hours=1)
    )
    told = {problem.path for problem in lifecycle.check(campaign, now=now)}
    assert told == {"segment", "control_percent", "spread"}
    in_app = make_campaign(channel="in_app", schedule="api")
    assert "schedule" in {problem.path for problem in lifecycle.check(in_app, now=now)}


# --- what is kept ----------------------------------------------------------------------------


def test_what_was_said_is_exported_erased_and_forgotten(client, receipt, person):
    post(client, receipt)
    [kept] = people.get_person(person.pk)["occasions"]
    assert kept["properties"] == {"order": 17}
    soon, late = clock.now() + timedelta(days=29), clock.now() + timedelta(days=31)
    assert occasions.drop_old(sweeps=1, now=soon) == 0
    assert occasions.drop_old(sweeps=1, now=late) == 1
    post(client, receipt, key="order-18")
    erasure.erase(person.pk, now=clock.now())
    assert not Occasion.objects.exists()


def test_it_goes_out_by_the_sender_of_every_other_message(client, receipt, person):
    channel = use_channel(RecordingChannel())
    post(client, receipt)
    report = sending.send_chunk("email", now=clock.now())
    [[draft]] = channel.calls
    assert (report.claimed, draft.address, draft.content.subject) == (
        1,
        "ada@shop.example",
        "Order 17",
    )
    assert post(client, receipt).json()["messages"][0]["state"] == "accepted"


def test_a_webhook_sent_again_to_the_last_day_still_knows_what_it_is_about(now, person):
    endpoint = WebhookEndpoint.objects.create(name="orders", url="https://hooks.shop.example/")
    template = make_template(channel="webhook", body='{"order": {{ event.order | json }}}')
    campaign = make_campaign(
        channel="webhook", template=template, schedule="api", endpoint=endpoint
    )
    lifecycle.launch(campaign, now=now)
    transactional.ask(campaign.pk, person.pk, key="17", properties={"order": 17}, now=now)
    Message.objects.update(state="failed", reason="unavailable", finished_at=now)
    last_day = now + timedelta(days=30)
    assert replay.plan_again([campaign.pk], now=last_day).messages == 1
    message = Message.objects.get()
    occasions.drop_old(sweeps=10, now=message.expires_at - timedelta(seconds=1))
    [draft] = compose([message], now=last_day)
    assert draft.content.body == b'{"order": 17}'
    occasions.drop_old(sweeps=10, now=message.expires_at)
    assert compose([message], now=last_day) == [Drop("occasion_gone")]
