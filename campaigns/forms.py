"""What a marketer types about segments and campaigns, checked as it is saved."""

import re
from collections.abc import Iterable
from decimal import Decimal
from typing import Any, cast
from uuid import uuid4
from zoneinfo import available_timezones

from django import forms
from django.core.exceptions import ValidationError
from django.forms.models import construct_instance
from unfold.admin import PaginationInlineFormSet
from unfold.widgets import UnfoldAdminSelect2Widget, UnfoldAdminTextInputWidget

from campaigns import lifecycle, schedule, triggers
from campaigns.errors import InvalidRule, Problem
from campaigns.models import Campaign, Segment, Template
from campaigns.segments import rules
from delivery.channels.mime import find_sender_address
from delivery.controls import SILENT
from engage.lib.forms import (
    HoursField,
    JsonField,
)
from engage.profiles.directory import find_people

# "body, line 2", "caps.category", "boosts[0].factor": a field, and where in it.
PLACE = re.compile(r"(?P<field>[a-z_]+)(?:(?:, |\.|(?=\[))(?P<rest>.+))?")


def add_problems(form: "forms.BaseForm", problems: Iterable[Problem]) -> None:
    """Each problem as an error beside its field, or above the form when it has none."""
    for problem in problems:
        place = PLACE.fullmatch(problem.path)
        field = place["field"] if place and place["field"] in form.fields else None
        where = place["rest"] if field and place else problem.path
        sentence = f"{where}: {problem.message}" if where else problem.message
        form.add_error(
            field, sentence[:1].upper() + sentence[1:] + ("" if sentence.endswith(".") else ".")
        )


class SegmentForm(forms.ModelForm):  # type: ignore[type-arg]
    rule = JsonField(
        label="Rule",
        rows=12,
        help_text="Who belongs to the segment, as JSON. Copy an example from below and change it.",
    )

    class Meta:
        model = Segment
        fields = ("name", "rule")

    def clean_rule(self) -> Any:
        rule = self.cleaned_data["rule"]
        try:
            rules.parse(rule)
        except InvalidRule as exc:
            raise ValidationError([str(problem) for problem in exc.problems]) from exc
        return rule


class CampaignForm(forms.ModelForm):  # type: ignore[type-arg]
    time_zone = forms.ChoiceField(
        label="Time zone",
        choices=[(name, name) for name in sorted(available_timezones())],
        widget=UnfoldAdminSelect2Widget,
        initial="UTC",
        help_text="Recurring times are times of the day there.",
    )
    max_lateness = HoursField(
        label="May start late by",
        initial="1",
        help_text="Hours. A run that is later waits for your decision; an event that comes in "
        "later sends nothing.",
    )
    expires_after = HoursField(
        label="Message expires after",
        required=False,
        help_text="Hours. What was not sent by then is dropped; an inbox keeps it so long. "
        "Empty: 24; for webhooks 96, so that a receiver that is away is called for three days.",
    )

    on_where = JsonField(
        label="Only where",
        required=False,
        empty=[],
        rows=4,
        help_text="Conditions on the event, as JSON, such as "
        '[{"property": "value", "op": "&gt;", "value": 50}]. Empty: each.',
    )
    on_wait = HoursField(
        label="Wait for",
        initial="0",
        min_value=Decimal(0),
        help_text="Hours from the event to the message.",
    )
    again_after = HoursField(
        label="Not again within",
        initial="24",
        min_value=Decimal(0),
        help_text="Hours. Who does it again sooner gets it once; 0: each time.",
    )
    spread = HoursField(
        label="Spread over",
        initial="0",
        min_value=Decimal(0),
        help_text="Hours over which the messages go, each person at their own moment of them.",
    )
    first_part_wait = HoursField(
        label="Try a hundredth first for",
        initial="0",
        min_value=Decimal(0),
        help_text="Hours. One person in a hundred gets it first; the rest follows unless the run "
        "stopped itself because of errors, bounces or complaints.",
    )

    class Meta:
        model = Campaign
        fields = (
            "name",
            "channel",
            "segment",
            "topic",
            "sender",
            "endpoint",
            "schedule",
            "on_event",
            "on_where",
            "on_wait",
            "unless_event",
            "again_after",
            "starts_at",
            "ends_at",
            "recurrence",
            "time_zone",
            "max_lateness",
            "expires_after",
            "in_local_time",
            "cut_off",
            "quiet",
            "quiet_template",
            "spread",
            "per_minute",
            "first_part_wait",
            "most_people",
            "control_percent",
            "priority",
            "per_day",
            "lifetime",
        )
        help_texts = {
            "segment": "Empty: everybody who may be reached on this channel.",
            "topic": "Only people who did not opt out of this topic. Empty: any.",
            "sender": "Such as Shop &lt;news@shop.example&gt;",
            "endpoint": "Where the messages go.",
            "on_event": "The name of an event, as the app sends it, such as Cart Viewed.",
            "unless_event": "Who does this while the message waits does not get it, such as "
            "Order Completed.",
            "starts_at": "UTC",
            "ends_at": "UTC. Empty: no end.",
            "recurrence": "Such as FREQ=DAILY;BYHOUR=9;BYMINUTE=0 (every day at 9:00) or "
            "FREQ=WEEKLY;BYDAY=MO,TH;BYHOUR=18;BYMINUTE=30",
            "control_percent": "Percent of the people who get nothing, for comparing.",
            "priority": "0 to 100. Higher comes first when several messages are due, and goes "
            "where a frequency cap lets only some go.",
            "in_local_time": "The start is a time of each person's own clock: nine o'clock is "
            "nine o'clock for everybody.",
            "quiet": "An inbox and a mailbox wait until somebody looks: what goes there instead "
            "goes at once. What people asked for themselves is waited for all the same.",
            "quiet_template": "What goes there instead.",
            "cut_off": "No message later than this by the person's clock. Empty: any time.",
            "per_minute": "Messages a minute at most. Empty: as fast as the channel goes.",
            "most_people": "With more people in the segment the run stops and asks. Empty: any.",
            "per_day": "Times one person may see it in a day.",
            "lifetime": "Times one person may see it at all.",
        }
        labels = {
            "on_event": "When somebody does",
            "unless_event": "Unless they do",
            "recurrence": "Comes again",
            "in_local_time": "In each person's own time",
            "cut_off": "Not after",
            "quiet": "In quiet hours",
            "quiet_template": "In other words",
            "per_minute": "At most a minute",
            "most_people": "People expected at most",
            "per_day": "At most a day",
            "lifetime": "At most in all",
            "control_percent": "Control group",
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "quiet_template" in self.fields:  # not where the campaign can only be read
            silent = Template.objects.filter(channel__in=SILENT).order_by("channel", "name")
            silent = silent.only("name", "channel")  # of each in the list, not what it says
            field = cast(forms.ModelChoiceField, self.fields["quiet_template"])  # type: ignore[type-arg]
            field.queryset = silent

    def clean_sender(self) -> str:
        sender: str = self.cleaned_data["sender"].strip()
        if any(ord(letter) < 32 for letter in sender):
            raise ValidationError("One line only.")
        if sender and find_sender_address(sender) is None:
            raise ValidationError("Write an address, such as Shop <news@shop.example>.")
        return sender

    def clean(self) -> dict[str, Any] | None:
        cleaned = super().clean()
        if not self.errors:
            candidate = construct_instance(self, Campaign(pk=self.instance.pk))
            add_problems(self, check_draft(candidate))
        return cleaned


def check_draft(campaign: Campaign) -> Iterable[Problem]:
    """What is wrong however unfinished the draft is; the rest is said at the launch."""
    in_app, at_launch = campaign.channel == "in_app", Campaign.Schedule.LAUNCH
    if in_app and campaign.schedule != at_launch:
        yield Problem("schedule", "in-app messages are shown when the app opens")
        return
    if not in_app and campaign.schedule == at_launch:
        yield Problem("schedule", "only in-app messages are shown when the app opens")
        return
    yield from schedule.check(campaign)
    if campaign.schedule == Campaign.Schedule.EVENT:
        yield from triggers.check(campaign)
    if not in_app:
        yield from lifecycle.check_other_channel(campaign)


class VariantFormSet(PaginationInlineFormSet):  # type: ignore[misc]
    """Every variant speaks on the campaign's channel."""

    def clean(self) -> None:
        super().clean()
        channel = self.instance.channel
        for form in self.forms:
            template = form.cleaned_data.get("template") if hasattr(form, "cleaned_data") else None
            if template is not None and template.channel != channel:
                form.add_error(
                    "template",
                    f"This template is for {template.get_channel_display()}, "
                    f"the campaign is for {self.instance.get_channel_display()}.",
                )


class PersonForm(forms.Form):
    """Whom to preview or test as."""

    person = forms.CharField(
        label="Person",
        max_length=255,
        widget=UnfoldAdminTextInputWidget(),
        help_text="Number, user id, anonymous id or e-mail.",
    )

    def clean_person(self) -> int:
        found = find_people(self.cleaned_data["person"])
        if not found:
            raise ValidationError("Nobody has this number, id or address.")
        return found[0]


class TestForm(PersonForm):
    """Whom to send a test to. Each form that is shown has a number: sent twice, it is one test."""

    once = forms.CharField(
        max_length=64,
        required=False,
        initial=lambda: uuid4().hex,
        widget=forms.HiddenInput(attrs={"autocomplete": "off"}),  # else a reload keeps the number
    )
