from datetime import UTC, datetime, timedelta

import pytest

from campaigns import lifecycle
from campaigns.errors import IllegalMove, NotReady
from campaigns.models import Campaign, Run
from delivery import endpoints
from delivery.models import Message, RunHold, WebhookEndpoint
from tests.factories import (
    make_campaign,
    make_catalog,
    make_message,
    make_profile,
    make_run,
    make_segment,
    make_slot,
    make_template,
)

pytestmark = pytest.mark.django_db


def problems_of(campaign, now):
    with pytest.raises(NotReady) as caught:
        lifecycle.launch(campaign, now=now)
    campaign.refresh_from_db()
    assert (campaign.state, Run.objects.count()) == ("draft", 0)
    return [str(problem) for problem in caught.value.problems]


def test_a_campaign_sent_now_gets_one_run(now):
    campaign = make_campaign()
    run = lifecycle.launch(campaign, now=now)
    assert (campaign.state, run.state, run.scheduled_for) == ("active", "planning", now)


def test_a_slot_that_asks_for_what_the_catalog_lacks_is_named(now):
    make_catalog(products=2)
    template = make_template()
    make_slot(
        template=template,
        filter={"column": "colour", "op": "=", "value": {"context": "trigger.price"}},
        boosts=[{"filter": {"column": "season", "op": "is present"}, "factor": 2}],
        caps={"brand": 1},
        pins=[{"place": 1, "item": "p9"}],
    )
    make_slot(template=template, name="more", catalog="gone")
    place = f"template {template}: slot"
    assert problems_of(make_campaign(template=template), now) == [
        f"{place} picks, filter.column: the catalog has no column 'colour'",
        f"{place} picks, boosts[0].filter.column: the catalog has no column 'season'",
        f"{place} picks, caps: the catalog has no column of texts “brand”",
        f"{place} picks, pins: the catalog has no product “p9”",
        f"{place} more, catalog: there is no catalog “gone”",
    ]


@pytest.mark.parametrize(
    ("quiet", "other", "problems"),
    [
        ("inbox", "", ["quiet_template: is missing: say what goes by Inbox instead"]),
        ("inbox", "email", ["quiet_template: “night” is for E-mail, not for Inbox"]),
        ("email", "email", ["sender: is missing; such as Shop <news@shop.example>"]),
        ("hold", "email", []),
    ],
)
def test_a_campaign_that_goes_by_another_channel_at_night_says_what(now, quiet, other, problems):
    night = make_template(channel=other, name="night") if other else None
    campaign = make_campaign(channel="push", quiet=quiet, quiet_template=night, sender="")
    assert [str(problem) for problem in lifecycle.check(campaign, now=now)] == problems


def test_the_words_for_the_other_channel_are_read_before_the_launch_too(now):
    night = make_template(channel="inbox", name="night", title="{{ slots.none }}")
    campaign = make_campaign(channel="push", quiet="inbox", quiet_template=night)
    [problem] = lifecycle.check(campaign, now=now)
    assert str(problem).startswith("template night: title, line 1: there is no slot “none”")


def test_a_channel_cannot_stand_in_for_itself(now):
    night = make_template(channel="inbox")
    campaign = make_campaign(channel="inbox", quiet="inbox", quiet_template=night)
    [problem] = lifecycle.check(campaign, now=now)
    assert str(problem) == "quiet: is the channel that it goes by anyway"


def test_a_second_click_finds_the_first_run(now):
    campaign = make_campaign()
    first = lifecycle.launch(campaign, now=now)
    again = lifecycle.launch(
        Campaign.objects.get(pk=campaign.pk), now=now + timedelta(milliseconds=300)
    )
    assert again == first
    assert Run.objects.count() == 1


def test_a_campaign_for_later_waits_for_its_time(now):
    campaign = make_campaign(schedule="at", starts_at=now + timedelta(hours=1))
    assert lifecycle.launch(campaign, now=now) is None
    assert campaign.next_due == now + timedelta(hours=1)
    assert Run.objects.count() == 0


def test_everything_that_is_missing_is_said_at_once(now):
    campaign = make_campaign(
        sender="", schedule="at", time_zone="Mars", template=make_template(channel="push"),
        segment=make_segment(rule={"all": [{"attribute": "age", "op": "<", "value": "x"}]}),
    )  # fmt: skip
    assert problems_of(campaign, now) == [
        "time_zone: “Mars” is no time zone, such as Europe/Berlin",
        "sender: is missing; such as Shop <news@shop.example>",
        "segment all[0].value: expected a number",
        "variant a: its template is for push, not email",
    ]


def test_a_template_that_cannot_be_read_is_refused_with_its_line(now):
    template = make_template(name="May", subject="ok", body="<p>\n{{ x | shout }}</p>")
    assert problems_of(make_campaign(template=template), now) == [
        "template May: body, line 2: there is no filter “shout”"
    ]


def test_a_time_long_past_is_refused(now):
    campaign = make_campaign(schedule="at", starts_at=now - timedelta(hours=2))
    assert problems_of(campaign, now) == ["starts_at: is past"]


def test_only_in_app_campaigns_wait_for_the_app(now):
    campaign = make_campaign(channel="in_app")
    assert problems_of(campaign, now) == [
        "schedule: in-app campaigns, and only they, show when the app opens"
    ]


def test_pause_holds_the_run_and_resume_lets_it_go_where_it_was(now):
    campaign = make_campaign(state="active")
    planning = make_run(campaign=campaign, at=now)
    sending = make_run(
        campaign=campaign, at=now + timedelta(days=1), state="sending", planned_at=now
    )
    lifecycle.pause(campaign, now=now)
    holds = dict(RunHold.objects.values_list("run_id", "state"))
    assert holds == {planning.pk: "paused", sending.pk: "paused"}
    assert set(Run.objects.values_list("state", flat=True)) == {"paused"}
    lifecycle.resume(campaign, now=now)
    assert RunHold.objects.count() == 0
    planning.refresh_from_db()
    sending.refresh_from_db()
    assert (campaign.state, planning.state, sending.state) == ("active", "planning", "sending")


def test_cancel_ends_what_was_not_sent(now):
    campaign = make_campaign(state="active")
    run = make_run(campaign=campaign, at=now, state="sending")
    open_one = make_message(profile=make_profile(), now=now, run_id=run.pk)
    sent = make_message(profile=make_profile(), now=now, run_id=run.pk, state="accepted")
    lifecycle.cancel(campaign, now=now)
    run.refresh_from_db()
    assert (campaign.state, run.state, run.finished_at) == ("cancelled", "cancelled", now)
    states = dict(Message.objects.values_list("id", "state"))
    assert states == {open_one.id: "cancelled", sent.id: "accepted"}


@pytest.mark.parametrize(
    ("move", "state"),
    [
        (lifecycle.pause, "draft"),
        (lifecycle.resume, "active"),
        (lifecycle.cancel, "finished"),
        (lifecycle.launch, "cancelled"),
        (lifecycle.launch, "paused"),
    ],
)
def test_illegal_moves_are_refused_and_change_nothing(now, move, state):
    campaign = make_campaign(state=state)
    with pytest.raises(IllegalMove):
        move(campaign, now=now)
    campaign.refresh_from_db()
    assert campaign.state == state


def test_a_copy_is_a_draft_of_its_own(now):
    campaign = make_campaign(name="May", control_percent=10)
    lifecycle.launch(campaign, now=now)
    copies = [lifecycle.duplicate(campaign), lifecycle.duplicate(campaign)]
    assert [copy.name for copy in copies] == ["Copy of May", "Copy of May (2)"]
    assert [copy.state for copy in copies] == ["draft", "draft"]
    assert copies[0].launched_at is None
    assert copies[0].control_percent == 10
    assert copies[0].variants.get().template == campaign.variants.get().template
    assert campaign.pk != copies[0].pk


def test_a_recurring_campaign_knows_its_next_time(now):
    campaign = make_campaign(
        schedule="recurring", recurrence="FREQ=DAILY",
        starts_at=datetime(2026, 10, 1, 9, 0, tzinfo=UTC),
    )  # fmt: skip
    lifecycle.launch(campaign, now=now)
    assert campaign.next_due == datetime(2026, 11, 3, 9, 0, tzinfo=UTC)


def test_a_sender_that_no_server_takes_is_no_sender(now):
    campaign = make_campaign(sender="Müller <müller@shop.example>")
    assert problems_of(campaign, now) == [
        "sender: is not an address; such as Shop <news@shop.example>"
    ]


def test_a_webhook_is_not_launched_without_an_endpoint_that_is_enabled(now):
    template = make_template(channel="webhook", body="{}")
    campaign = make_campaign(channel="webhook", template=template)
    assert problems_of(campaign, now) == ["endpoint: is missing: say where the messages go"]
    endpoint = WebhookEndpoint.objects.create(name="orders", url="https://hooks.shop.example/")
    endpoints.disable(endpoint, reason="by hand", now=now)
    Campaign.objects.filter(pk=campaign.pk).update(endpoint=endpoint)
    campaign.refresh_from_db()
    assert problems_of(campaign, now) == ["endpoint: “orders” is disabled: by hand"]
    endpoints.enable(endpoint)
    campaign.refresh_from_db()
    assert lifecycle.launch(campaign, now=now) is not None


@pytest.mark.parametrize("channel", ["sms", "web_push", "inbox"])
def test_an_sms_a_web_push_and_an_inbox_message_are_launched_like_any_other(now, channel):
    template = make_template(channel=channel, body="Hello")
    assert lifecycle.launch(make_campaign(channel=channel, template=template), now=now)
