"""What a marketer types about segments, templates and campaigns, checked as it is saved."""

import re
from collections.abc import Iterable
from decimal import Decimal
from typing import Any, cast
from uuid import uuid4
from zoneinfo import available_timezones

from django import forms
from django.core.exceptions import ValidationError
from django.forms.models import construct_instance, inlineformset_factory
from unfold.admin import PaginationInlineFormSet
from unfold.widgets import UnfoldAdminSelect2Widget, UnfoldAdminTextInputWidget

from campaigns import lifecycle, schedule, slot_checks, templates
from campaigns.errors import InvalidRule, Problem
from campaigns.models import Campaign, Segment, Slot, Template
from campaigns.segments import rules
from campaigns.slots import RUNGS
from delivery.channels.mime import find_sender_address
from delivery.controls import SILENT
from engage.lib.forms import (
    CodeArea,
    CountsField,
    EventDaysField,
    HoursField,
    JsonField,
    WordsField,
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


class PinsField(forms.CharField):
    """Place and product, one in a line: "1: sku-1"."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**({"widget": CodeArea(rows=3)} | kwargs))

    def prepare_value(self, value: Any) -> Any:
        if isinstance(value, list):
            return "\n".join(f"{pin.get('place')}: {pin.get('item')}" for pin in value)
        return value

    def to_python(self, value: Any) -> Any:
        found = []
        for number, line in enumerate((super().to_python(value) or "").splitlines(), start=1):
            if not line.strip():
                continue
            place, colon, item = (part.strip() for part in line.partition(":"))
            if not colon or not item or not place.isdecimal() or len(place) > 5:
                raise ValidationError(
                    f"Line {number}: expected a place and a product's id, such as “1: sku-1”."
                )
            found.append({"place": int(place), "item": item})
        return found

    def run_validators(self, value: Any) -> None:
        for pin in value:
            super().run_validators(pin["item"])

    def validate(self, value: Any) -> None:
        """An empty list is an answer."""

    def has_changed(self, initial: Any, data: Any) -> bool:
        return bool(self.prepare_value(initial or []) != (data or ""))


class SlotForm(forms.ModelForm):  # type: ignore[type-arg]
    ladder = WordsField(
        required=False,
        choices=RUNGS,
        help_text=f"Where products come from, in order: {', '.join(RUNGS)}. Empty: all of them.",
    )
    filter = JsonField(
        required=False,
        empty={},
        rows=4,
        help_text='Only products for which: {"column": "price", "op": "<=", "value": 50}. A value '
        "may come from the product that the message is about, or the one viewed last: "
        '{"context": "trigger.price", "times": 1.2}',
    )
    exclude_events = EventDaysField(
        required=False,
        label="Leave out what the person did",
        help_text="An event and how many days back, one in a line: “Order Completed: 365”",
    )
    caps = CountsField(
        required=False,
        label="At most of one kind",
        help_text="A column and how many products may share a value, one in a line: “category: 2”",
    )
    boosts = JsonField(
        required=False,
        empty=[],
        rows=4,
        label="Boosts",
        help_text="Relevance times a factor, below 1 lowers: "
        '[{"filter": {"column": "brand", "op": "=", "value": "Own"}, "factor": 1.5}]. '
        "The preview says what boosts and pins cost.",
    )
    pins = PinsField(
        required=False,
        label="Pinned products",
        help_text="A place and a product's id, one in a line: “1: sku-1”. Who bought it, or where "
        "it is sold out, gets the next product instead.",
    )

    class Meta:
        model = Slot
        fields = (
            "name",
            "catalog",
            "minimum",
            "maximum",
            "on_short",
            "ladder",
            "filter",
            "exclude_events",
            "repeats",
            "without_cart",
            "without_trigger",
            "variety",
            "caps",
            "boosts",
            "pins",
            "damp_after",
            "block_after",
            "rest_days",
            "explore",
        )
        labels = {
            "on_short": "When it finds too few",
            "repeats": "Offer again what the person had",
            "without_cart": "Leave out what is in the cart",
            "without_trigger": "Leave out what the message is about",
            "variety": "Variety",
            "damp_after": "Show less after",
            "block_after": "Stop showing after",
            "rest_days": "Rest",
            "explore": "Explore",
        }
        help_texts = {
            "repeats": "For things people buy again. Purchases are left out only as said above.",
            "without_cart": "Added, and neither taken out nor bought since.",
            "without_trigger": "The product that sends the message, or else the one viewed last.",
            "variety": "Percent. 0: by relevance alone. 30: other categories and brands get in. "
            "100: as different as possible.",
            "damp_after": "Times shown without a click, in messages of any channel. From then on "
            "each time halves its relevance. 0: never.",
            "block_after": "Times shown without a click. Then not at all. 0: never.",
            "rest_days": "Days without a showing, after which a product is as new. A click or a "
            "lower price brings it back at once.",
            "explore": "Percent, at most 50: how likely each of the last places, one of four, "
            "goes to products that were tried little.",
            "name": "The template shows it by {% for item in slots.NAME %}.",
            "catalog": "Where its products come from.",
            "minimum": "Fewer than this are too few.",
            "maximum": "It shows so many, if it finds them.",
        }

    def clean(self) -> dict[str, Any] | None:
        """Each mistake beside its field, which opens the part of the form."""
        cleaned = super().clean()
        if not self.errors:
            add_problems(self, slot_checks.check_fields(construct_instance(self, Slot())))
        return cleaned


SlotFormSet = inlineformset_factory(Template, Slot, form=SlotForm, extra=0)


class TemplateForm(forms.ModelForm):  # type: ignore[type-arg]
    """Checked together with its slots: a template may name only slots that it has."""

    class Meta:
        model = Template
        fields = (
            "name",
            "channel",
            "subject",
            "preheader",
            "title",
            "body",
            "text",
            "image_url",
            "link",
            "button",
            "content_type",
        )
        labels = {"image_url": "Image URL"}
        widgets = {"body": CodeArea(rows=22), "text": CodeArea(rows=6)}

    def clean_channel(self) -> str:
        channel: str = self.cleaned_data["channel"]
        template = self.instance
        if template.pk and (
            template.variants.exclude(campaign__channel=channel).exists()
            or template.campaigns_at_night.exclude(quiet=channel).exists()
        ):
            raise ValidationError("Campaigns use this template on another channel.")
        return channel

    def clean(self) -> dict[str, Any] | None:
        cleaned = super().clean()
        if not self.errors:
            candidate = construct_instance(self, Template(pk=self.instance.pk))
            found = templates.lint(candidate, slots=self.list_slots(candidate))
            add_problems(self, found.problems)
            self.notices = found.notices
        return cleaned

    def list_slots(self, template: Template) -> list[Slot]:
        """The slots that came with the form; wrong ones report their errors themselves."""
        if "slots-TOTAL_FORMS" not in self.data:
            return list(template.slots.all()) if template.pk else []
        formset = SlotFormSet(data=self.data, instance=template, prefix="slots")
        formset.is_valid()
        kept = [
            form for form in formset.forms
            if form.has_changed() or form.instance.pk
            if not form.cleaned_data.get("DELETE")
        ] if formset.management_form.is_valid() else []  # fmt: skip
        return [form.instance for form in kept if form.instance.name]


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
        help_text="Hours. A run that is later waits for your decision.",
    )
    expires_after = HoursField(
        label="Message expires after",
        initial="24",
        help_text="Hours. What was not sent by then is dropped; an inbox keeps it so long.",
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
