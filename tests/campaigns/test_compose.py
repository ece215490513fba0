"""Messages into drafts, with the real recommender over a small catalog."""

import json
import re
from datetime import timedelta

import pytest

from campaigns.compose import compose
from campaigns.fanout import new_message
from campaigns.models import Template, Variant
from delivery import endpoints, inapp, links
from delivery.models import WebhookEndpoint
from delivery.policy import Drop
from engage.profiles.models import Device
from recommendations.models import HandPicked
from tests.factories import (
    make_campaign,
    make_catalog,
    make_profile,
    make_slot,
    make_template,
)

pytestmark = pytest.mark.django_db
BODY = (
    "<p>Hi {{ profile.first_name }}</p>{% for p in slots.picks %}"
    '<a href="{{ p.link }}">{{ p.name }}</a>{% endfor %}'
    '<a href="https://shop.example/p2">two</a><a href="{{ unsubscribe_url }}">leave</a>'
)


@pytest.fixture(autouse=True)
def shop():
    make_catalog(products=3)
    HandPicked.objects.create(catalog="default", item_ids=["p1", "p2", "p3"])


def make_mail(*, body=BODY, subject="For {{ profile.first_name }}", slot=True, **fields):
    template = make_template(body=body, subject=subject)
    if slot:
        make_slot(template=template, ladder=["hand_picked"], maximum=2, **fields)
    return make_campaign(template=template)


def message_for(campaign, profile, now, **fields):
    return new_message(
        campaign, campaign.variants.first(), profile_id=profile.pk, now=now, **fields
    )


def clicks_in(html):
    tokens = re.findall(r'href="[^"]*/t/c/([^"]+)"', html)
    return [(click.item, click.position) for click in map(links.read_click, tokens)]


def test_a_mail_is_filled_tracked_and_ready_to_send(now):
    campaign = make_mail()
    message = message_for(campaign, make_profile(email=" ana@x.example ", first_name="Ana"), now)
    [draft] = compose([message], now=now)
    assert (draft.message_id, draft.key, draft.address) == (
        message.id,
        message.key,
        "ana@x.example",
    )
    assert draft.content.subject == "For Ana"
    assert draft.content.sender == "Shop <shop@shop.example>"
    assert draft.content.unsubscribe_url == links.unsubscribe_url(message)
    assert f'href="{links.unsubscribe_url(message)}"' in draft.content.html
    assert "Product p1" in draft.content.html
    assert "Product p1" in draft.content.text
    assert clicks_in(draft.content.html) == [("p1", 1), ("p2", 2), ("p2", 2)]
    assert links.open_url(message) in draft.content.html
    assert [(one["slot"], one["item"], one["rank"]) for one in draft.items] == [
        ("picks", "p1", 1),
        ("picks", "p2", 2),
    ]


def test_drafts_come_in_the_order_of_their_messages(now):
    one, other = make_mail(subject="one"), make_mail(subject="other")
    profiles = [make_profile(email=f"{n}@x.example") for n in range(4)]
    messages = [message_for((one, other)[n % 2], profiles[n], now) for n in range(4)]
    drafts = compose(messages, now=now)
    assert [draft.message_id for draft in drafts] == [message.id for message in messages]
    assert [draft.content.subject for draft in drafts] == ["one", "other", "one", "other"]


def test_without_an_address_the_door_gets_an_empty_draft_and_says_why(now):
    campaign = make_mail()
    for profile in (make_profile(), make_profile(email=7), make_profile(email="")):
        [draft] = compose([message_for(campaign, profile, now)], now=now)
        assert (draft.address, draft.content.html) == ("", "")


def test_one_person_a_template_breaks_on_does_not_stop_the_others(now):
    campaign = make_mail(subject="{{ 6 | divided_by: profile.children }}", slot=False)
    children = [2, 0, 3]
    messages = [
        message_for(campaign, make_profile(email=f"{n}@x.example", children=n), now)
        for n in children
    ]
    first, broken, last = compose(messages, now=now)
    assert (first.content.subject, last.content.subject) == ("3", "2")
    assert broken == Drop("template_error")


def test_a_template_that_aborts_drops_the_message_and_keeps_its_word(now):
    campaign = make_mail(
        subject="{% if profile.vip %}{% abort_message('has it already') %}{% endif %}"
        "{% if profile.old %}{% abort_message %}{% endif %}For you",
        slot=False,
    )
    people = [
        make_profile(email=f"{n}@x.example", **known)
        for n, known in enumerate([{"vip": True}, {"old": True}, {}])
    ]
    told, silent, sent = compose([message_for(campaign, one, now) for one in people], now=now)
    assert told == Drop("template_abort", ({"aborted": "has it already"},))
    assert silent == Drop("template_abort")
    assert sent.content.subject == "For you"


def test_a_short_slot_drops_the_message_where_it_says_so(now):
    campaign = make_mail(
        minimum=2, on_short="drop_message", filter={"column": "price", "op": ">", "value": 2}
    )
    message = message_for(campaign, make_profile(email="a@x.example"), now)
    too_few = {"slot": "picks", "short": "drop_message", "found": 1, "needed": 2}
    assert compose([message], now=now) == [Drop("slot_short", (too_few,))]


def test_a_block_left_empty_is_told_beside_the_products(now):
    campaign = make_mail()
    template = campaign.variants.get().template
    make_slot(template=template, name="more", ladder=["hand_picked"], minimum=3)
    message = message_for(campaign, make_profile(email="a@x.example"), now)
    [draft] = compose([message], now=now)
    assert [record.get("item") for record in draft.items] == ["p1", "p2", None]
    assert draft.items[-1] == {"slot": "more", "short": "drop_block", "found": 1, "needed": 3}


def test_a_mail_that_says_nothing_is_not_sent(now):
    campaign = make_mail(subject="{{ profile.nothing }}", slot=False)
    message = message_for(campaign, make_profile(email="a@x.example"), now)
    assert compose([message], now=now) == [Drop("no_content")]


def test_a_wording_taken_out_meanwhile_is_not_sent(now):
    campaign = make_mail()
    message = message_for(campaign, make_profile(email="a@x.example"), now)
    Variant.objects.all().delete()
    assert compose([message], now=now) == [Drop("no_content")]


def test_a_wording_of_another_channel_is_not_sent(now):
    campaign = make_mail()
    message = message_for(campaign, make_profile(email="a@x.example"), now)
    Template.objects.update(channel="push", title="Hello")
    assert compose([message], now=now) == [Drop("no_content")]


def test_a_push_goes_to_its_device_with_a_tracked_link(now):
    template = make_template(
        channel="push", title="{{ slots.picks[0].name }}", body="x",
        link="{{ slots.picks[0].link }}", image_url="{{ slots.picks[0].image_url }}",
    )  # fmt: skip
    make_slot(template=template, ladder=["hand_picked"], maximum=1)
    campaign = make_campaign(channel="push", template=template)
    person = make_profile(push_token="tok")
    device = f"d{person.pk}"
    [draft, gone] = compose(
        [
            message_for(campaign, person, now, address_id=device),
            message_for(campaign, person, now, address_id="another"),
        ],
        now=now,
    )
    assert (draft.address, gone.address) == ("tok", "")
    assert draft.content.title == "Product p1"
    assert draft.content.image == "https://shop.example/p1.jpg"
    click = links.read_click(draft.content.link.rsplit("/", 1)[1])
    assert (click.profile_id, click.item, click.position) == (person.pk, "p1", 1)
    assert draft.content.ttl_seconds == timedelta(hours=24).total_seconds()


def test_an_own_link_of_a_push_is_tracked_too(now):
    campaign = make_campaign(
        channel="push", template=make_template(channel="push", link="https://shop.example/sale")
    )
    person = make_profile(push_token="tok")
    [draft] = compose([message_for(campaign, person, now, address_id=f"d{person.pk}")], now=now)
    click = links.read_click(draft.content.link.rsplit("/", 1)[1])
    assert links.find_target(click.link) == "https://shop.example/sale"


# --- SMS, webhooks, web pushes ----------------------------------------------------------------


def make_plain(channel, *, body, slot=False, **fields):
    template = make_template(channel=channel, body=body, title="Hello")
    if slot:
        make_slot(template=template, ladder=["hand_picked"], maximum=2)
    return make_campaign(channel=channel, template=template, **fields)


def test_an_sms_goes_to_the_number_of_the_person(now, settings):
    settings.PUBLIC_URL = "https://engage.example"
    campaign = make_plain(
        "sms", body="Hi {{ profile.name }}: {{ slots.picks[0].link }}", slot=True
    )
    message = message_for(campaign, make_profile(phone="+49 (170) 123-4567", name="Ana"), now)
    [draft] = compose([message], now=now)
    assert draft.address == "+491701234567"
    assert draft.content.text.startswith("Hi Ana: https://engage.example/t/c/")
    assert draft.content.status_url == links.status_url(message)
    assert draft.content.status_url.startswith("https://engage.example/hooks/twilio/")


@pytest.mark.parametrize("phone", [None, "", "0170 1234567", 491701234567])
def test_without_a_number_that_can_be_called_there_is_no_address(now, phone):
    message = message_for(make_plain("sms", body="Hi"), make_profile(phone=phone), now)
    [draft] = compose([message], now=now)
    assert draft.address == ""


def test_a_provider_that_could_not_reach_us_is_given_no_address_of_ours(now, settings):
    settings.PUBLIC_URL = "http://localhost:8000"
    message = message_for(make_plain("sms", body="Hi"), make_profile(phone="+491701234567"), now)
    [draft] = compose([message], now=now)
    assert draft.content.status_url == ""


@pytest.fixture
def endpoint():
    return WebhookEndpoint.objects.create(name="orders", url="https://hooks.shop.example/orders")


def test_a_webhook_goes_to_the_endpoint_with_its_secrets_and_the_persons_id(now, endpoint):
    campaign = make_plain(
        "webhook", slot=True, endpoint=endpoint,
        body='{"who": {{ person.id | json }}, "name": "{{ profile.name }}",'
        ' "first": {{ slots.picks[0].id | json }}}',
    )  # fmt: skip
    message = message_for(campaign, make_profile(user_id="ada", name='A "d"\\a'), now)
    [draft] = compose([message], now=now)
    assert draft.address == "https://hooks.shop.example/orders"
    assert json.loads(draft.content.body) == {"who": "ada", "name": 'A "d"\\a', "first": "p1"}
    assert draft.content.secrets == endpoints.list_secrets(endpoint, now=now)
    assert [one["item"] for one in draft.items] == ["p1", "p2"]


def test_a_disabled_endpoint_drops_the_messages_with_a_reason(now, endpoint):
    campaign = make_plain("webhook", body="{}", endpoint=endpoint)
    endpoints.disable(endpoint, reason="by hand", now=now)
    message = message_for(campaign, make_profile(), now)
    assert compose([message], now=now) == [Drop("endpoint_disabled")]


def test_values_that_make_no_json_drop_one_message_only(now, endpoint):
    campaign = make_plain("webhook", body='{"n": {{ profile.n }}}', endpoint=endpoint)
    messages = [message_for(campaign, make_profile(n=n), now) for n in (1, "x", 3)]
    first, broken, last = compose(messages, now=now)
    assert (first.content.body, last.content.body) == (b'{"n": 1}', b'{"n": 3}')
    assert broken == Drop("template_error")


SUBSCRIPTION = '{"endpoint": "https://push.example/1", "keys": {"p256dh": "B", "auth": "A"}}'


def test_a_web_push_goes_to_the_subscription_of_the_browser(now):
    person = make_profile(push_token=SUBSCRIPTION)
    Device.objects.filter(profile=person).update(platform="web")
    device = f"d{person.pk}"
    drafts = [
        compose(
            [message_for(make_plain(channel, body="Hi"), person, now, address_id=device)], now=now
        )[0]
        for channel in ("web_push", "push")
    ]
    assert [draft.address for draft in drafts] == [SUBSCRIPTION, ""]
    assert [draft.platform for draft in drafts] == ["web", ""]
    assert drafts[0].content.title == "Hello"


def test_an_inbox_message_has_what_the_app_draws_and_a_token_that_tells_of_it(now):
    template = make_template(
        channel="inbox", title="For {{ profile.first_name }}", body="{{ slots.picks[0].name }}",
        image_url="https://shop.example/a.jpg", button="Look", content_type="card",
    )  # fmt: skip
    make_slot(template=template, ladder=["hand_picked"], maximum=2)
    campaign = make_campaign(channel="inbox", template=template)
    person = make_profile(first_name="Ana")
    message = message_for(campaign, person, now)
    [draft] = compose([message], now=now)
    content = draft.content
    assert (draft.address, content.campaign_id) == (str(person.pk), campaign.pk)
    assert (content.expires_at, content.content_type) == (message.expires_at, "card")
    assert content.content["title"] == {"text": "For Ana"}
    assert content.content["body"] == {"text": "Product p1"}
    assert content.content["media"] == {"url": "https://shop.example/a.jpg", "type": "image"}
    assert content.content["link"] == "https://shop.example/"
    assert content.content["buttons"][0]["action"]["url"] == "https://shop.example/"
    cards = content.content["items"]
    assert [(card["id"], card["rank"]) for card in cards] == [("p1", 1), ("p2", 2)]
    assert {card["link"] for card in cards} == {card["url"] for card in cards}
    facts = inapp.read_token(content.token)
    assert (facts.message_id, facts.profile_id, facts.run_id) == (message.id, person.pk, None)
    assert (facts.campaign_id, facts.variant_id) == (campaign.pk, message.variant_id)
    assert facts.channel == "inbox"
    assert [(shown.item, shown.position) for shown in facts.items] == [("p1", 1), ("p2", 2)]


def test_an_inbox_of_nobody_has_no_address(now):
    message = message_for(make_plain("inbox", body="Hi"), make_profile(), now)
    message = message._replace(profile_id=10**12)
    [draft] = compose([message], now=now)
    assert draft.address == ""
