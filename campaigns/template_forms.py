"""What a marketer types about templates and their slots, checked as it is saved."""

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.forms.models import construct_instance, inlineformset_factory

from campaigns import slot_checks, templates
from campaigns.forms import add_problems
from campaigns.models import Slot, Template
from campaigns.slots import RUNGS
from engage.lib.forms import (
    CodeArea,
    CountsField,
    EventDaysField,
    JsonField,
    WordsField,
)


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

    def clean_body(self) -> str:
        return _with_plain_line_ends(self.cleaned_data["body"])

    def clean_text(self) -> str:
        return _with_plain_line_ends(self.cleaned_data["text"])

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


def _with_plain_line_ends(text: str) -> str:
    """Browsers send CRLF; in an SMS every CR would be a letter that is paid for."""
    return text.replace("\r\n", "\n")
