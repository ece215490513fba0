"""What will happen when a campaign is launched, and how it stands: in words and figures."""

from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeVar

from django.db import OperationalError, connection, transaction
from django.urls import reverse

from campaigns import lifecycle, schedule, templates, triggers
from campaigns.errors import InvalidRule
from campaigns.models import Campaign, Template
from campaigns.segments import reach, rules, sentence
from delivery import senders
from delivery.channels import registry
from delivery.controls import SILENT
from engage.lib import screen
from engage.lib.admin import Question

COUNT_TIMEOUT_MS = 5_000
NEXT_TIMES = 5
RUNS_SHOWN = 10
Answer = TypeVar("Answer")


def within_time(ask: Callable[[], Answer]) -> Answer | None:
    """The answer of a query that a page needs; None when it takes too long."""
    try:
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute("SET LOCAL statement_timeout = %s", [COUNT_TIMEOUT_MS])
            found = ask()
            with connection.cursor() as cursor:
                cursor.execute("SET LOCAL statement_timeout = DEFAULT")
            return found
    except OperationalError:
        return None


def rule_of(campaign: Campaign) -> rules.Rule:
    return rules.parse(campaign.segment.rule) if campaign.segment else rules.AllOf()


def describe_audience(campaign: Campaign) -> str:
    if campaign.schedule == Campaign.Schedule.API:
        return "each person that your server names"
    try:
        who = sentence.describe(rule_of(campaign))
    except InvalidRule as exc:
        return f"the rule of the segment is broken: {exc.message}"
    if campaign.schedule == Campaign.Schedule.EVENT:
        of_whom = f", of {who}" if campaign.segment else ""
        return f"each person who does “{campaign.on_event}”{of_whom}"
    return who


def list_times(campaign: Campaign, *, now: datetime) -> list[datetime]:
    """The next due times, as the schedule stands."""
    if list(schedule.check(campaign)):
        return []
    times: list[datetime] = []
    after = now
    while len(times) < NEXT_TIMES and (due := schedule.find_next(campaign, after=after)):
        times.append(due)
        after = due
    return times


def ask_launch(campaign: Campaign, *, now: datetime) -> Question:
    """The question before a launch: how many people will get what, and when."""
    asked = campaign.schedule == Campaign.Schedule.API
    rule = rule_of(campaign)
    counted = None if asked else within_time(lambda: reach.count(rule, now=now))
    facts = [
        ("Channel", campaign.get_channel_display()),
        ("Who", describe_audience(campaign)),
    ]
    sentences = ["Check the figures. You can pause or cancel at any time after the launch."]
    if asked:
        sentences = [
            "It goes to who unsubscribed, too, and at night: send nothing with it but what a "
            "person waits for. You can pause or cancel at any time after the launch."
        ]
    elif counted is None:
        facts.append(("People", "counting took too long; the run will count as it goes"))
    else:
        reachable = getattr(counted, campaign.channel)
        held = round(reachable * float(campaign.control_percent) / 100)
        facts += [
            ("People in the segment", screen.number(counted.people)),
            ("Reachable on this channel", screen.number(reachable)),
            ("Held out for comparing", f"about {screen.number(held)}"),
        ]
        if campaign.schedule != Campaign.Schedule.EVENT:  # of the others nobody knows how many
            facts.append(("Will get it", f"about {screen.number(reachable - held)} people"))
    if in_the_way := find_in_the_way(campaign):
        sentences.insert(0, in_the_way)
    if campaign.schedule == Campaign.Schedule.EVENT:
        sentences += triggers.doubt(campaign)
    if lifecycle.sends_mail(campaign):
        sentences += senders.doubt(campaign.sender)
    for template in list_templates(campaign):
        sentences += templates.doubt(template)
    facts += [
        ("Wordings", ", ".join(f"{v.name}: {v.template}" for v in list_variants(campaign))),
        ("When", describe_time(campaign, now=now)),
    ]
    return Question(
        title=f"Launch {campaign}",
        button="Launch the campaign",
        sentences=sentences,
        facts=facts,
    )


def find_in_the_way(campaign: Campaign) -> str:
    """A launch plans messages all the same: they go once the channel is set up, or expire."""
    problem = registry.find_problem(campaign.channel) if campaign.channel != "in_app" else ""
    if not problem:
        return ""
    return f"Nothing of it goes out before the channel is set up. {problem}."


def list_variants(campaign: Campaign) -> Any:
    return campaign.variants.select_related("template").order_by("name")


def list_templates(campaign: Campaign) -> list[Template]:
    """Each once, with the one of quiet hours where that may be sent."""
    found = [variant.template for variant in list_variants(campaign)]
    if campaign.quiet in SILENT and campaign.quiet_template is not None:
        found.append(campaign.quiet_template)
    return list(dict.fromkeys(found))


def describe_time(campaign: Campaign, *, now: datetime) -> str:
    if campaign.schedule == Campaign.Schedule.NOW:
        return "at once"
    if campaign.schedule == Campaign.Schedule.LAUNCH:
        return "each time the app opens, from now on"
    if campaign.schedule == Campaign.Schedule.API:
        return "each time your server asks, from now on"
    if campaign.schedule == Campaign.Schedule.EVENT:
        return describe_wait(campaign)
    times = list_times(campaign, now=now)
    return " · ".join(f"{screen.stamp(time)} UTC" for time in times) or "no time to come"


def describe_wait(campaign: Campaign) -> str:
    """When what somebody does sends it."""
    wait = f"{screen.span(campaign.on_wait)} after" if campaign.on_wait else "when"
    said = f"{wait} somebody does “{campaign.on_event}”"
    if campaign.unless_event:
        said += f", unless they do “{campaign.unless_event}” meanwhile"
    if campaign.again_after:
        said += f"; not again within {screen.span(campaign.again_after)}"
    return said


def head(campaign: Campaign, *, now: datetime) -> dict[str, Any]:
    """What stands above the form of one campaign."""
    draft = campaign.state == Campaign.State.DRAFT
    runs = campaign.runs.order_by("-scheduled_for")[:RUNS_SHOWN]
    return {
        "campaign": campaign,
        "state_pill": screen.state_pill(campaign.state),
        "audience": describe_audience(campaign),
        "when": describe_time(campaign, now=now),
        "missing": list(lifecycle.check(campaign, now=now)) if draft else [],
        "runs": [
            {
                "url": reverse("admin:campaigns_run_change", args=[run.pk]),
                "when": screen.stamp(run.scheduled_for),
                "state": screen.state_pill(run.state),
                "planned": screen.number(run.planned),
                "held_out": screen.number(run.held_out),
            }
            for run in runs
        ],
    }
