"""The marketer's forms and buttons: a sentence for every mistake, and nothing changed by it."""

import json
import re
from datetime import timedelta

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from campaigns import decisions, fanout, stats, stats_kept
from campaigns.admin import review
from campaigns.mail_html import COMPILER, compile_body
from campaigns.models import Campaign, Run, Segment, Slot, Template
from delivery.channels import registry
from delivery.channels.dkim import make_key
from delivery.models import Message, WebhookEndpoint
from engage.lib.redis import key
from recommendations.models import HandPicked
from tests.delivery.sending import RecordingChannel, use_channel
from tests.factories import (
    NOON,
    make_campaign,
    make_catalog,
    make_message,
    make_profile,
    make_run,
    make_segment,
    make_slot,
    make_template,
)

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis_keys")]
STRANGE = '{"column": "price", "op": "<", "value": {"context": "shop.price"}}'


@pytest.fixture
def marketer(client: Client) -> Client:
    from django.contrib.auth.models import Group

    person = User.objects.create_user("maria", is_staff=True)
    person.groups.add(Group.objects.get(name="Marketer"))
    client.force_login(person)
    return client


def url_of(name: str, *args: object) -> str:
    return reverse(f"admin:campaigns_{name}", args=args)


def text_of(answer) -> str:
    return answer.content.decode()


# --- segments -------------------------------------------------------------------------------


def test_segment_is_saved(marketer: Client) -> None:
    rule = {"did": "Product Viewed", "at_least": 3, "within_days": 14}
    answer = marketer.post(url_of("segment_add"), {"name": "Keen", "rule": json.dumps(rule)})
    assert answer.status_code == 302
    assert Segment.objects.get().rule == rule


@pytest.mark.parametrize(
    ("rule", "sentence"),
    [
        ("", "This field is required."),
        ('{"all": [', "This is not JSON: line 1, column 10"),
        ('{"attribute": "a", "op": "~", "value": 1}', "op"),
        ('{"all": [{"did": 7}]}', "all[0].did"),
        ('{"attribute": "a", "op": "=", "value": "\\u0000"}', "cannot be stored"),
        ("[" * 5_000, "nested too deeply"),
        ("7", "expected an object"),
    ],
)
def test_wrong_rule_gets_a_sentence_and_is_not_saved(
    marketer: Client, rule: str, sentence: str
) -> None:
    answer = marketer.post(url_of("segment_add"), {"name": "Keen", "rule": rule})
    assert answer.status_code == 200
    assert sentence in text_of(answer).replace("&#x27;", "'").replace("&quot;", '"')
    assert not Segment.objects.exists()


def test_checking_a_rule_says_its_sentence_and_its_count(marketer: Client) -> None:
    make_profile(email="a@mail.example", opted_in=("email",), country="DE")
    make_profile(country="DE")
    make_profile(country="FR")
    rule = json.dumps({"attribute": "country", "op": "=", "value": "DE"})
    text = text_of(marketer.post(url_of("segment_check"), {"rule": rule}))
    assert "People whose country is DE." in text
    assert '<div class="value" id="people-count">2</div>' in text
    assert not Segment.objects.exists()


def test_checking_a_rule_names_people_only_to_who_may_see_them(
    marketer: Client, client: Client
) -> None:
    make_profile(email="a@mail.example", country="DE")
    rule = {"rule": json.dumps({"attribute": "country", "op": "=", "value": "DE"})}
    assert "a@mail.example" in text_of(marketer.post(url_of("segment_check"), rule))
    planner = User.objects.create_user("paul", is_staff=True)
    planner.user_permissions.add(Permission.objects.get(codename="view_segment"))
    client.force_login(planner)
    text = text_of(client.post(url_of("segment_check"), rule))
    assert '<div class="value" id="people-count">1</div>' in text
    assert "a@mail.example" not in text


@pytest.mark.parametrize("rule", ["", "{", '{"all": 1}', "null", "[" * 9_999])
def test_checking_a_wrong_rule_names_the_problem(marketer: Client, rule: str) -> None:
    answer = marketer.post(url_of("segment_check"), {"rule": rule})
    assert answer.status_code == 200
    assert "pill-red" in text_of(answer)


def test_check_is_not_done_by_get(marketer: Client) -> None:
    assert marketer.get(url_of("segment_check")).status_code == 405


# --- templates ------------------------------------------------------------------------------


def template_form(**changes: object) -> dict[str, object]:
    form: dict[str, object] = {
        "name": "Picks",
        "channel": "email",
        "subject": "Hello",
        "body": "<p>{% for item in slots.picks %}{{ item.name }}{% endfor %}</p>",
        "slots-TOTAL_FORMS": "1",
        "slots-INITIAL_FORMS": "0",
        "slots-MIN_NUM_FORMS": "0",
        "slots-MAX_NUM_FORMS": "1000",
        "slots-0-name": "picks",
        "slots-0-catalog": "default",
        "slots-0-minimum": "1",
        "slots-0-maximum": "4",
        "slots-0-on_short": "drop_block",
        "slots-0-ladder": "personal, best_sellers",
        "slots-0-filter": '{"column": "price", "op": "<=", "value": 20}',
        "slots-0-exclude_events": "Order Completed: 365",
        "slots-0-without_cart": "on",
        "slots-0-variety": "30",
        "slots-0-caps": "category: 2",
        "slots-0-boosts": '[{"filter": {"column": "price", "op": "<", "value": 9}, "factor": 2}]',
        "slots-0-pins": "2: p:1\n\n1 : p2",
        "slots-0-damp_after": "3",
        "slots-0-block_after": "6",
        "slots-0-rest_days": "14",
        "slots-0-explore": "20",
    }
    return form | changes


def test_template_is_saved_with_its_slot(marketer: Client) -> None:
    answer = marketer.post(url_of("template_add"), template_form())
    assert answer.status_code == 302
    slot = Slot.objects.get(template__name="Picks")
    assert slot.ladder == ["personal", "best_sellers"]
    assert slot.filter == {"column": "price", "op": "<=", "value": 20}
    assert slot.exclude_events == {"Order Completed": 365}
    assert (slot.without_cart, slot.without_trigger) == (True, False)
    assert (slot.variety, slot.caps) == (30, {"category": 2})
    cheap = {"column": "price", "op": "<", "value": 9}
    assert slot.boosts == [{"filter": cheap, "factor": 2}]
    assert slot.pins == [{"place": 2, "item": "p:1"}, {"place": 1, "item": "p2"}]
    assert (slot.damp_after, slot.block_after, slot.rest_days) == (3, 6, 14)
    assert slot.explore == 20


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"body": "<p>\n{{ slots.picks | }}</p>"}, "Line 2:"),
        ({"body": "<p>{% for x in slots.other %}{% endfor %}</p>"}, "there is no slot “other”"),
        ({"subject": ""}, "Is empty."),
        ({"body": "<mjml><mj-body><mj-nope></mj-nope></mj-body></mjml>"}, "mj-nope"),
        ({"slots-0-ladder": "magic"}, "“magic” is not one of"),
        ({"slots-0-filter": "{"}, "This is not JSON"),
        ({"slots-0-filter": '{"column": 7}'}, "filter"),
        ({"slots-0-filter": "[]"}, "Expected an object such as"),
        ({"slots-0-filter": "0"}, "Expected an object such as"),
        ({"slots-0-filter": STRANGE}, "There is no context “shop.price”"),
        ({"slots-0-caps": "brand: 2\nbrand: 3"}, "“brand” stands there twice."),
        ({"slots-0-exclude_events": "Order Completed"}, "Line 1: expected an event and days"),
        ({"slots-0-minimum": "5"}, "Is above the maximum."),
        ({"slots-0-variety": "101"}, "Expected a whole number from 0 to 100, in percent."),
        ({"slots-0-caps": "category"}, "Line 1: expected a name and a number"),
        ({"slots-0-caps": "category: 0"}, "Category: expected a whole number from 1 to 100"),
        ({"slots-0-boosts": '[{"factor": 2}]'}, "[0].filter: expected an object"),
        ({"slots-0-boosts": '{"factor": 2}'}, "Expected a list of at most 20"),
        ({"slots-0-pins": "p1"}, "Line 1: expected a place and a product"),
        ({"slots-0-pins": "9: p1"}, "Place 9 is beyond the maximum of 4"),
        ({"slots-0-block_after": "2"}, "Must come later than showing it less"),
        ({"slots-0-rest_days": "0"}, "Expected a whole number from 1 to 90."),
        ({"slots-0-maximum": "500"}, "less than or equal to 50"),
        ({"slots-0-name": "My picks"}, "Use a-z, 0-9 and _."),
        ({"slots-TOTAL_FORMS": "x"}, "ManagementForm"),
        ({"channel": "pigeon"}, "not one of the available choices"),
    ],
)
def test_wrong_template_gets_a_sentence_and_is_not_saved(
    marketer: Client, change: dict[str, object], sentence: str
) -> None:
    answer = marketer.post(url_of("template_add"), template_form(**change))
    assert answer.status_code == 200
    assert sentence in text_of(answer)
    assert not Template.objects.exists()


def test_lines_of_a_template_end_as_typed_not_as_browsers_send_them(marketer: Client) -> None:
    form = template_form(body="<p>a</p>\r\n{{ slots.picks[0].name }}", text="a\r\nb")
    assert marketer.post(url_of("template_add"), form).status_code == 302
    template = Template.objects.get()
    assert (template.body, template.text) == ("<p>a</p>\n{{ slots.picks[0].name }}", "a\nb")


def test_mail_is_compiled_as_it_is_saved_and_again_as_it_is_changed(marketer: Client) -> None:
    for body in ("<mjml><mj-body></mj-body></mjml>{{ slots.picks }}", "<p>{{ slots.picks }}</p>"):
        form = template_form(body=body)
        at = Template.objects.first()
        url = url_of("template_change", at.pk) if at else url_of("template_add")
        if at:
            form |= {"slots-INITIAL_FORMS": "1", "slots-0-id": str(at.slots.get().pk)}
        assert marketer.post(url, form).status_code == 302
        template = Template.objects.get()
        assert (template.compiled_from, template.compiled_by) == (body, COMPILER)
        assert template.compiled_html == compile_body(body).html
        assert template.compiled_text == compile_body(body).text


def test_channel_of_a_used_template_stays(marketer: Client) -> None:
    template = make_campaign().variants.get().template
    form = template_form(name=template.name, channel="push", title="Hello")
    answer = marketer.post(url_of("template_change", template.pk), form)
    assert "Campaigns use this template on another channel." in text_of(answer)
    template.refresh_from_db()
    assert template.channel == "email"


def test_preview_fills_the_template_for_a_person(marketer: Client) -> None:
    make_catalog(products=3)
    make_profile(user_id="ada", first_name="Ada <b>")
    template = make_template(body="<p>{{ profile.first_name }}</p>")
    make_slot(template=template)
    answer = marketer.get(url_of("template_look", template.pk), {"person": "ada"})
    assert answer.status_code == 200
    text = text_of(answer)
    assert "<iframe sandbox " in text
    assert "Ada <b>" not in text
    assert not Message.objects.exists()


def test_preview_says_what_boosts_and_pins_cost_and_what_is_too_few(marketer: Client) -> None:
    make_catalog(products=3)
    HandPicked.objects.create(catalog="default", item_ids=["p1", "p2", "p3"])
    make_profile(user_id="ada")
    template = make_template()
    pins = [{"place": 1, "item": "p3"}]
    make_slot(template=template, ladder=["hand_picked"], maximum=2, pins=pins)
    make_slot(template=template, name="more", ladder=["hand_picked"], minimum=4)
    text = text_of(marketer.get(url_of("template_look", template.pk), {"person": "ada"}))
    assert "picks: pins and boosts give up 11 % of relevance (the 1 person seen last)" in text
    assert "more: 1 of 4 needed" in text


def test_saved_slot_that_asks_for_what_the_catalog_lacks_gets_a_warning(marketer: Client) -> None:
    make_catalog(products=1)
    form = template_form(**{"slots-0-caps": "brand: 1", "slots-0-pins": "1: p9"})
    text = text_of(marketer.post(url_of("template_add"), form, follow=True))
    assert "slot picks, caps: the catalog has no column of texts “brand”" in text
    assert "slot picks, pins: the catalog has no product “p9”" in text


def test_saved_template_with_an_attribute_that_nobody_has_gets_a_warning(marketer: Client) -> None:
    form = template_form(subject="Hi {{ profile.frist_name | default: 'you' }}")
    sentence = "no recent profile has “frist_name”"
    assert sentence not in text_of(marketer.post(url_of("template_add"), form, follow=True))
    make_profile(user_id="ana", first_name="Ana")
    form["name"] = "Again"
    text = text_of(marketer.post(url_of("template_add"), form, follow=True))
    assert f"subject, line 1: {sentence}: is profile.frist_name a slip?" in text


def test_preview_as_nobody_says_so(marketer: Client) -> None:
    template = make_template()
    answer = marketer.get(url_of("template_look", template.pk), {"person": "nobody\x00"})
    assert answer.status_code == 200
    answer = marketer.get(url_of("template_look", template.pk), {"person": "nobody"})
    assert "Nobody has this number, id or address." in text_of(answer)


# --- campaigns ------------------------------------------------------------------------------


def campaign_form(template: Template, **changes: object) -> dict[str, object]:
    form: dict[str, object] = {
        "name": "Weekly",
        "channel": "email",
        "sender": "Shop <news@shop.example>",
        "schedule": "now",
        "time_zone": "UTC",
        "max_lateness": "1",
        "expires_after": "24",
        "quiet": "hold",
        "spread": "0",
        "first_part_wait": "0",
        "on_wait": "0",
        "again_after": "24",
        "control_percent": "10",
        "priority": "50",
        "per_day": "1",
        "lifetime": "3",
        "variants-TOTAL_FORMS": "1",
        "variants-INITIAL_FORMS": "0",
        "variants-MIN_NUM_FORMS": "0",
        "variants-MAX_NUM_FORMS": "1000",
        "variants-0-name": "a",
        "variants-0-template": str(template.pk),
        "variants-0-weight": "1",
    }
    return form | changes


def test_page_of_a_campaign_lists_templates_without_reading_what_they_say(
    marketer: Client,
) -> None:
    campaign, _ = make_campaign(), make_template(name="Whisper", channel="inbox")
    with CaptureQueriesContext(connection) as asked:
        text = text_of(marketer.get(url_of("campaign_change", campaign.pk)))
    assert text.count(">Whisper</option>") >= 2  # as a wording, and in quiet hours
    lists = [one["sql"] for one in asked if 'FROM "campaigns_template"' in one["sql"]]
    assert lists
    assert [sql for sql in lists if "body" in sql or "compiled_html" in sql] == []


def test_campaign_is_saved_as_a_draft(marketer: Client) -> None:
    answer = marketer.post(url_of("campaign_add"), campaign_form(make_template()))
    assert answer.status_code == 302
    campaign = Campaign.objects.get()
    assert (campaign.state, campaign.expires_after) == ("draft", timedelta(hours=24))
    assert campaign.variants.count() == 1


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"sender": "nobody"}, "Write an address"),
        ({"sender": "Müller <müller@shop.example>"}, "Write an address"),
        ({"sender": "Shop <a..b@shop.example>"}, "Write an address"),
        ({"sender": "A\r\nBcc: x <a@b.example>"}, "One line only."),
        ({"schedule": "at"}, "Is missing."),
        ({"schedule": "recurring", "starts_at_0": "2026-12-01", "starts_at_1": "09:00",
          "recurrence": "FREQ=SOMETIMES"}, "no recurrence rule"),
        ({"schedule": "recurring", "starts_at_0": "2026-12-01", "starts_at_1": "09:00",
          "recurrence": "FREQ=DAILY;BYHOUR=9;BYMINUTE=0,10"}, "at most once an hour"),
        ({"schedule": "launch"}, "Only in-app messages"),
        ({"time_zone": "Mars/Olympus"}, "not one of the available choices"),
        ({"control_percent": "101"}, "less than or equal to 100"),
        ({"expires_after": "0"}, "greater than or equal to 0.25"),
        ({"channel": "push"}, "This template is for E-mail, the campaign is for Push."),
        ({"quiet": "email"}, "Is the channel that it goes by anyway."),
        ({"quiet": "inbox"}, "Is missing: say what goes by Inbox instead."),
        ({"variants-0-weight": "0"}, "greater than or equal to 1"),
        ({"starts_at_0": "soon", "starts_at_1": ""}, "valid date"),
    ],
)  # fmt: skip
def test_wrong_campaign_gets_a_sentence_and_is_not_saved(
    marketer: Client, change: dict[str, object], sentence: str
) -> None:
    answer = marketer.post(url_of("campaign_add"), campaign_form(make_template(), **change))
    assert answer.status_code == 200
    assert sentence in text_of(answer)
    assert not Campaign.objects.exists()


def test_campaign_may_go_by_the_inbox_at_night(marketer: Client) -> None:
    template, night = make_template(channel="push"), make_template(channel="inbox", name="night")
    form = {"channel": "push", "quiet": "inbox", "quiet_template": str(night.pk)}
    wrong = {"quiet_template": str(make_template(name="mail").pk)}
    answer = marketer.post(url_of("campaign_add"), campaign_form(template, **(form | wrong)))
    assert "“mail” is for E-mail, not for Inbox." in text_of(answer)
    wrong = {"quiet_template": str(template.pk)}  # a push is not silent: it is not offered
    answer = marketer.post(url_of("campaign_add"), campaign_form(template, **(form | wrong)))
    assert "not one of the available choices" in text_of(answer)
    answer = marketer.post(url_of("campaign_add"), campaign_form(template, **form))
    assert answer.status_code == 302
    campaign = Campaign.objects.get()
    assert (campaign.quiet, campaign.quiet_template) == ("inbox", night)
    answer = marketer.post(
        url_of("template_change", night.pk), template_form(name="night", channel="email")
    )
    assert "Campaigns use this template on another channel." in text_of(answer)


def test_launch_asks_first_with_the_number_of_people(marketer: Client) -> None:
    for number in range(4):
        make_profile(email=f"p{number}@mail.example", opted_in=("email",))
    make_profile(email="quiet@mail.example")
    campaign = make_campaign(segment=make_segment(rule={}), control_percent=25)
    text = text_of(marketer.get(url_of("campaign_launch", campaign.pk)))
    assert "about 3 people" in text
    assert not Run.objects.exists()


def test_launch_asks_about_attributes_that_leave_a_gap(marketer: Client) -> None:
    """Also where no profile has them, and in the words for quiet hours; once for each place."""
    body = (
        "{{ profile.nobody_has_it }}{{ profile.city | default: 'your city' }}"
        "{% if profile.name %}{{ profile.name }}{% endif %}"
    )
    template = make_template(channel="push", title="Hello {{ profile.first_name }}", body=body)
    night = make_template(channel="inbox", title="Hello {{ profile.last_name }}")
    campaign = make_campaign(
        channel="push", template=template, quiet="inbox", quiet_template=night
    )
    campaign.variants.create(name="the same", template=template)
    shown = text_of(marketer.get(url_of("campaign_launch", campaign.pk)))
    assert shown.count("may be missing: say what stands there then") == 3
    for words, place, name in (
        (template, "title, line 1", "first_name"),
        (template, "body, line 1", "nobody_has_it"),
        (night, "title, line 1", "last_name"),
    ):
        assert shown.count(f"“{words}”, {place}: profile.{name} may be missing") == 1
    assert not Run.objects.exists()


def test_launch_says_that_a_channel_is_not_set_up(marketer: Client) -> None:
    registry.forget_channels()
    text = make_campaign(channel="sms", template=make_template(channel="sms", body="Hello"))
    shown = text_of(marketer.get(url_of("campaign_launch", text.pk)))
    assert (
        "Nothing of it goes out before the channel is set up. ENGAGE_SMS_ACCOUNT is not" in shown
    )
    use_channel(RecordingChannel(), name="sms")
    shown = text_of(marketer.get(url_of("campaign_launch", text.pk)))
    assert "is set up" not in shown
    registry.forget_channels()


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"channel": "email"}, True),
        ({"channel": "inbox", "quiet": "email"}, True),
        ({"channel": "inbox"}, False),  # what a draft kept of another channel
        ({"channel": "email", "sender": "Shop <news@mail.example>"}, False),
    ],
)
def test_launch_says_that_mail_goes_unsigned(
    marketer: Client, settings, tmp_path, fields, told
) -> None:
    registry.forget_channels()
    file = tmp_path / "dkim.pem"
    file.write_bytes(make_key())
    settings.SMTP_URL, settings.DKIM_KEY_FILE = "smtp://127.0.0.1:1", str(file)
    settings.DKIM_SELECTOR, settings.DKIM_DOMAIN = "engage", "mail.example"
    fields = {"sender": "Shop <news@shop.example>"} | fields
    if "quiet" in fields:
        fields["quiet_template"] = make_template(channel=fields["quiet"])
    campaign = make_campaign(template=make_template(channel=fields["channel"]), **fields)
    shown = text_of(marketer.get(url_of("campaign_launch", campaign.pk)))
    assert "Launch the campaign" in shown
    said = "Mail from news@shop.example is not signed: the key is for mail.example."
    assert (said in shown) == told
    registry.forget_channels()


def test_launch_twice_makes_one_run_and_leads_to_it(marketer: Client) -> None:
    make_profile(email="p@mail.example", opted_in=("email",))
    campaign = make_campaign()
    first = marketer.post(url_of("campaign_launch", campaign.pk))
    second = marketer.post(url_of("campaign_launch", campaign.pk))
    run = Run.objects.get()
    assert first.headers["Location"] == url_of("run_change", run.pk)
    assert second.headers["Location"] == url_of("run_change", run.pk)


def test_campaign_that_is_not_ready_is_not_launched(marketer: Client) -> None:
    campaign = make_campaign(sender="")
    answer = marketer.post(url_of("campaign_launch", campaign.pk), follow=True)
    assert "sender: is missing" in text_of(answer)
    campaign.refresh_from_db()
    assert campaign.state == "draft"
    assert not Run.objects.exists()


@pytest.mark.parametrize(
    ("button", "before", "after"),
    [("pause", "active", "paused"), ("resume", "paused", "active"),
     ("cancel", "active", "cancelled"), ("cancel", "draft", "cancelled")],
)  # fmt: skip
def test_buttons_move_the_campaign(marketer: Client, button: str, before: str, after: str) -> None:
    campaign = make_campaign(state=before)
    assert marketer.get(url_of(f"campaign_{button}", campaign.pk)).status_code == 200
    campaign.refresh_from_db()
    assert campaign.state == before
    marketer.post(url_of(f"campaign_{button}", campaign.pk))
    campaign.refresh_from_db()
    assert campaign.state == after


@pytest.mark.parametrize("button", ["pause", "resume", "cancel"])
def test_illegal_move_is_told_and_changes_nothing(marketer: Client, button: str) -> None:
    campaign = make_campaign(state="finished")
    answer = marketer.post(url_of(f"campaign_{button}", campaign.pk), follow=True)
    assert "is finished and cannot be" in text_of(answer)
    campaign.refresh_from_db()
    assert campaign.state == "finished"


def test_duplicate_is_a_draft(marketer: Client) -> None:
    campaign = make_campaign(name="Weekly", state="finished")
    marketer.post(url_of("campaign_copy", campaign.pk))
    copy = Campaign.objects.exclude(pk=campaign.pk).get()
    assert (copy.name, copy.state) == ("Copy of Weekly", "draft")


def test_test_message_goes_to_a_known_person(marketer: Client) -> None:
    profile = make_profile(user_id="ada", email="ada@mail.example", opted_in=("email",))
    campaign = make_campaign()
    marketer.post(url_of("campaign_send_test", campaign.pk), {"person": "ada"})
    assert Message.objects.get().profile_id == profile.pk
    answer = marketer.post(url_of("campaign_send_test", campaign.pk), {"person": "nobody"})
    assert "Nobody has this number" in text_of(answer)
    assert Message.objects.count() == 1


def test_test_form_sent_twice_is_one_test(marketer: Client) -> None:
    make_profile(user_id="ada", email="ada@mail.example", opted_in=("email",))
    page = url_of("campaign_send_test", make_campaign().pk)
    for _ in range(2):  # each form that is shown is a test of its own
        [once] = re.findall(r'name="once" value="([0-9a-f]{32})"', text_of(marketer.get(page)))
        for _ in range(2):
            marketer.post(page, {"person": "ada", "once": once})
    assert Message.objects.count() == 2


def test_launched_campaign_cannot_be_edited(marketer: Client) -> None:
    campaign = make_campaign(name="Weekly", state="active")
    template = campaign.variants.get().template
    form = campaign_form(template, name="Renamed", control_percent="90")
    marketer.post(url_of("campaign_change", campaign.pk), form)
    campaign.refresh_from_db()
    assert (campaign.name, campaign.control_percent) == ("Renamed", 0)


def test_launched_campaign_tells_only_what_concerns_it(marketer: Client) -> None:
    campaign = make_campaign(channel="in_app", schedule="launch", state="active")
    page = text_of(marketer.get(url_of("campaign_change", campaign.pk)))
    told = set(re.findall(r"<label[^>]*>([^<]+)</label>", page))
    assert {"Channel", "Segment", "Starts at", "Priority", "At most in all"} <= told
    assert not told & {"Sender", "Comes again", "Time zone", "May start late by", "Spread over"}
    assert url_of("campaign_send_test", campaign.pk) not in page


def test_launched_campaign_tells_lengths_of_time_in_words(marketer: Client) -> None:
    campaign = make_campaign(schedule="at", state="active", max_lateness=timedelta(minutes=90))
    page = text_of(marketer.get(url_of("campaign_change", campaign.pk)))
    assert "1 hour 30 minutes" in page
    assert "1 day" in page
    assert "0:00" not in page
    assert {"May start late by", "Message expires after", "Spread over"} <= set(
        re.findall(r"<label[^>]*>([^<]+)</label>", page)
    )


def test_unknown_campaign_is_not_found(marketer: Client) -> None:
    for button in ("launch", "pause", "resume", "cancel", "copy", "send_test"):
        assert marketer.post(url_of(f"campaign_{button}", 4711)).status_code == 404
    assert marketer.post(url_of("campaign_launch", "x")).status_code == 404


# --- runs -----------------------------------------------------------------------------------


def test_missed_run_waits_for_a_button(marketer: Client) -> None:
    run = make_run(campaign=make_campaign(state="active"), state="missed")
    assert "Send it although it is late" in text_of(marketer.get(url_of("run_change", run.pk)))
    marketer.post(url_of("run_start", run.pk))
    run.refresh_from_db()
    assert run.state == "planning"


def test_figures_add_up_while_the_run_is_planned(marketer: Client, monkeypatch) -> None:
    run = make_run(campaign=make_campaign(), at=NOON)
    real = stats.run_page

    def meanwhile(seen: Run, **switches: bool):
        make_profile()
        fanout.plan_chunk(run.pk, now=NOON, limit=10)
        return real(seen, **switches)

    monkeypatch.setattr(stats, "run_page", meanwhile)
    page = text_of(marketer.get(url_of("run_change", run.pk)))
    assert "adds up" in page
    assert "planned 0" not in page


def test_a_large_run_is_counted_once_a_minute_and_says_when(
    marketer: Client, monkeypatch, redis_keys
) -> None:
    run = make_run(campaign=make_campaign(), at=NOON, planned=2)
    accepted = '<div class="value">{}</div><div class="detail">{}</div>'.format
    for number, large in enumerate((3, 2, 2), start=1):
        monkeypatch.setattr(stats_kept, "LARGE", large)
        make_message(profile=make_profile(), run_id=run.pk, state="accepted")
        Run.objects.update(planned=number)
        page = text_of(marketer.get(url_of("run_change", run.pk)))
        shown = min(number, 2)  # the third came when the page was kept
        assert accepted(shown, "100.0 %") in page
        assert ("is counted once a minute" in page) is (number > 1)
        assert "adds up" in page
    [name] = redis_keys.keys(key("run_page", "*"))
    assert 0 < redis_keys.ttl(name) <= 60
    redis_keys.delete(name)
    assert accepted(3, "100.0 %") in text_of(marketer.get(url_of("run_change", run.pk)))


def test_slots_that_found_too_few_are_told(marketer: Client) -> None:
    run = make_run(campaign=make_campaign(), at=NOON, planned=2)
    for short in ("drop_block", "drop_message"):
        record = {"slot": "picks", "short": short, "found": 1, "needed": 2}
        make_message(profile=make_profile(), run_id=run.pk, items=[record])
    text = re.sub(r"<[^>]+>", "", text_of(marketer.get(url_of("run_change", run.pk))))
    assert "Slot picks found fewer than 2 products and was left empty in 1 message." in text
    assert "Slot picks found fewer than 2 products and held back 1 message." in text


def test_a_missing_message_is_told(marketer: Client) -> None:
    run = make_run(campaign=make_campaign(), at=NOON, planned=2)
    make_message(profile=make_profile(), run_id=run.pk)
    assert "planned 2" in text_of(marketer.get(url_of("run_change", run.pk)))


def test_spreadsheet_takes_no_name_for_a_formula(marketer: Client) -> None:
    run = make_run(campaign=make_campaign(name="=1+1"), at=NOON)
    lines = text_of(marketer.get(url_of("run_download", run.pk))).splitlines()
    assert lines[0] == "section,name,figure,value"
    assert "run,'=1+1,planned,0" in lines


# --- who got it and who did not -----------------------------------------------------------------


def test_the_people_of_a_run_are_found_by_reason_and_by_person(admin_client, now):
    run = make_run(campaign=make_campaign(name="Spring"), at=now)
    before = make_run(campaign=make_campaign(name="Winter"), at=now)
    capped, sent = make_profile(user_id="ann"), make_profile(user_id="bob", email="bob@x.example")
    note = {"cap": "two a day", "most": 2, "earlier": [f"run {before.pk}", "0198-key"]}
    make_message(profile=capped, run_id=run.pk, state="suppressed", reason="capped", items=[note])
    make_message(profile=sent, run_id=run.pk, state="accepted")
    url = reverse("admin:campaigns_run_decisions", args=[run.pk])
    page = text_of(admin_client.get(url))
    assert "Sent" in page
    assert "two a day: at most 2, before it went “Winter”, a single message" in page
    page = text_of(admin_client.get(url, {"decision": "suppressed", "reason": "capped"}))
    lines = page[page.index("people-lines") :]
    assert ">ann</a>" in lines
    assert ">bob</a>" not in lines
    for person in (sent.pk, "bob", "bob@x.example"):
        page = text_of(admin_client.get(url, {"person": person}))
        lines = page[page.index("people-lines") :]
        assert ">bob</a>" in lines
        assert ">ann</a>" not in lines
    assert "Nobody." in text_of(admin_client.get(url, {"person": "nobody-of-ours"}))
    assert admin_client.get(url, {"person": "x'--", "after": "-1"}).status_code == 200


def test_people_who_take_too_long_to_count_hold_no_page_up(admin_client, now, monkeypatch):
    run, person = make_run(at=now), make_profile(user_id="ann")
    make_message(profile=person, run_id=run.pk, state="accepted")
    monkeypatch.setattr(review, "COUNT_TIMEOUT_MS", 50)
    slow = decisions.COUNT.replace("FROM decision GROUP", "FROM decision, pg_sleep(10) GROUP")
    monkeypatch.setattr(decisions, "COUNT", slow)
    page = text_of(admin_client.get(reverse("admin:campaigns_run_decisions", args=[run.pk])))
    assert "Counting took too long and was stopped." in page
    assert ">ann</a>" in page


def test_a_run_that_stopped_itself_says_why(admin_client, now):
    run = make_run(at=now, state="paused", stopped_because="bounces: 20 of 200 (10.00%)")
    page = text_of(admin_client.get(reverse("admin:campaigns_run_change", args=[run.pk])))
    assert "It stopped itself: bounces: 20 of 200 (10.00%)." in page


# --- SMS and webhooks -----------------------------------------------------------------------


def test_the_preview_of_an_sms_counts_its_segments(marketer: Client) -> None:
    make_profile(user_id="ada", name="Ada’s " + "x" * 70)
    template = make_template(channel="sms", body="Hi {{ profile.name }}")
    text = text_of(marketer.get(url_of("template_look", template.pk), {"person": "ada"}))
    assert "2 SMS (79 of 134 places, UCS-2 because of ’)" in text
    assert "more than a provider takes" not in text
    Template.objects.update(body="x" * 1_601)
    text = text_of(marketer.get(url_of("template_look", template.pk), {"person": "ada"}))
    assert "more than a provider takes" in text


def test_a_webhook_template_that_is_not_json_is_refused_beside_its_body(marketer: Client) -> None:
    form = template_form(channel="webhook", body='{"a": {{ profile.age }}}')
    assert "Is not JSON once it is filled" in text_of(marketer.post(url_of("template_add"), form))
    assert not Template.objects.exists()
    form["body"] = '{"a": {{ profile.age | json }}, "s": {{ slots.picks | json }}}'
    assert marketer.post(url_of("template_add"), form).status_code == 302


def test_the_preview_of_a_webhook_is_its_json(marketer: Client) -> None:
    make_profile(user_id="ada", age=36)
    template = make_template(channel="webhook", body='{"who": {{ person.id | json }}}')
    text = text_of(marketer.get(url_of("template_look", template.pk), {"person": "ada"}))
    assert "{&quot;who&quot;: &quot;ada&quot;}" in text


def test_a_campaign_chooses_its_endpoint(marketer: Client) -> None:
    endpoint = WebhookEndpoint.objects.create(name="orders", url="https://hooks.shop.example/")
    template = make_template(channel="webhook", body="{}")
    form = campaign_form(template, channel="webhook", endpoint=str(endpoint.pk))
    assert marketer.post(url_of("campaign_add"), form).status_code == 302
    assert Campaign.objects.get().endpoint == endpoint


# --- inbox ----------------------------------------------------------------------------------


def test_an_inbox_template_is_typed_previewed_and_chosen_for_a_campaign(marketer: Client) -> None:
    make_profile(user_id="ada", name="Ada")
    form = template_form(channel="inbox", title="For {{ profile.name | default: 'you' }}",
                         body="Look", button="Go", content_type="card")  # fmt: skip
    assert marketer.post(url_of("template_add"), form).status_code == 302
    template = Template.objects.get()
    text = text_of(marketer.get(url_of("template_look", template.pk), {"person": "ada"}))
    assert ("For Ada" in text, ">Go<" in text) == (True, True)
    form = campaign_form(template, channel="inbox", expires_after="72")
    assert marketer.post(url_of("campaign_add"), form).status_code == 302
    campaign = Campaign.objects.get()
    assert (campaign.channel, campaign.expires_after) == ("inbox", timedelta(hours=72))
    page = text_of(marketer.get(url_of("campaign_change", campaign.pk)))
    assert url_of("campaign_send_test", campaign.pk) in page
    marketer.post(url_of("campaign_send_test", campaign.pk), {"person": "ada"})
    assert Message.objects.get().channel == "inbox"


def test_an_inbox_template_needs_a_title(marketer: Client) -> None:
    answer = marketer.post(url_of("template_add"), template_form(channel="inbox", title=""))
    assert "Is empty" in text_of(answer)
    assert not Template.objects.exists()


def test_an_inbox_campaign_does_not_wait_for_the_app_to_open(marketer: Client) -> None:
    template = make_template(channel="inbox")
    form = campaign_form(template, channel="inbox", schedule="launch")
    answer = marketer.post(url_of("campaign_add"), form)
    assert "Only in-app messages are shown when the app opens" in text_of(answer)
    assert not Campaign.objects.exists()


def test_who_says_nothing_of_the_end_leaves_it_to_the_channel(marketer: Client) -> None:
    marketer.post(url_of("campaign_add"), campaign_form(make_template(), expires_after=""))
    campaign = Campaign.objects.get()
    assert campaign.expires_after is None
    campaign.state = "active"
    campaign.save()
    page = marketer.get(url_of("campaign_change", campaign.pk)).content.decode()
    assert "1 day" in page
