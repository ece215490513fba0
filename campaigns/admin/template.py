"""Templates with their slots, and how they look to one person."""

from typing import Any

import unfold.admin
from django.contrib import admin, messages
from django.db.models import Count
from django.http import HttpRequest, HttpResponse
from redis import RedisError

from campaigns import preview, slot_checks, templates
from campaigns.forms import PersonForm
from campaigns.models import Slot, Template
from campaigns.template_forms import SlotForm, TemplateForm
from delivery.channels.sms_text import LONGEST_TEXT, count_segments, utf16_length
from delivery.shown import describe
from engage.lib import clock, screen
from engage.lib.admin import Page, button, display, shown_if
from engage.lib.errors import EngageError
from engage.profiles import people
from engage.profiles.directory import name_person
from engage.profiles.models import Profile

WITH_TITLE = ("push", "web_push", "in_app", "inbox")
DROPS = {
    "slot_short": "this person would get nothing: a slot finds fewer products than its minimum",
    "template_abort": "the template says that this person shall not get it",
    "template_error": "the template breaks for this person",
    "no_content": "there would be nothing to read",
}


class SlotInline(unfold.admin.StackedInline):  # type: ignore[misc]
    model = Slot
    form = SlotForm
    extra = 0
    verbose_name = "product slot"
    verbose_name_plural = "Product slots"
    fieldsets = (
        (
            None,
            {
                "fields": (
                    ("name", "catalog"),
                    ("minimum", "maximum"),
                    "on_short",
                    "ladder",
                    ("filter", "exclude_events"),
                    "repeats",
                    ("without_cart", "without_trigger"),
                )
            },
        ),
        (
            "Ranking",
            {
                "classes": ("collapse",),
                # One in a row: only then does Django open the part for a mistake in it.
                "fields": (
                    "variety",
                    "caps",
                    "boosts",
                    "pins",
                    "damp_after",
                    "block_after",
                    "rest_days",
                    "explore",
                ),
            },
        ),
    )


@admin.register(Template)
class TemplateAdmin(Page):
    form = TemplateForm
    inlines = (SlotInline,)
    list_display = ("name", "channel_name", "headline", "slot_count", "used_by", "updated_at")
    list_filter = ("channel",)
    search_fields = ("name", "subject", "title")
    ordering = ("name",)
    actions_detail = ("look",)
    fieldsets = (
        (None, {"fields": (("name", "channel"),)}),
        (
            "Content",
            {
                "fields": (
                    "subject",
                    "preheader",
                    "title",
                    "body",
                    "text",
                    ("image_url", "link"),
                    ("button", "content_type"),
                )
            },
        ),
    )
    conditional_fields = {
        "subject": shown_if("channel", "email"),
        "preheader": shown_if("channel", "email"),
        "text": shown_if("channel", "email"),
        "title": shown_if("channel", *WITH_TITLE),
        "image_url": shown_if("channel", *WITH_TITLE),
        "link": shown_if("channel", *WITH_TITLE),
        "button": shown_if("channel", "in_app", "inbox"),
        "content_type": shown_if("channel", "in_app", "inbox"),
    }

    def get_queryset(self, request: HttpRequest) -> Any:
        counted = super().get_queryset(request)
        return counted.annotate(
            slot_rows=Count("slots", distinct=True),
            campaigns=Count("variants__campaign", distinct=True),
        )

    @display("Channel", ordering="channel")
    def channel_name(self, template: Template) -> str:
        return template.get_channel_display()

    @display("Subject or title")
    def headline(self, template: Template) -> str:
        if template.channel in WITH_TITLE:
            return template.title
        return template.subject if template.channel == "email" else template.body[:60]

    @display("Slots", ordering="slot_rows")
    def slot_count(self, template: Any) -> str:
        return screen.number(template.slot_rows)

    @display("Campaigns", ordering="campaigns")
    def used_by(self, template: Any) -> str:
        return screen.number(template.campaigns)

    def save_model(self, request: HttpRequest, obj: Template, form: Any, change: bool) -> None:
        templates.save_template(obj)

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        # Where nobody has come in yet, there is nothing to judge attributes by.
        known = people.list_attribute_names() or None
        for notice in templates.lint(form.instance, known_attributes=known).notices:
            messages.warning(request, f"{notice.path}: {notice.message}")
        for problem in slot_checks.check_catalogs(form.instance):
            messages.warning(request, f"{problem.path}: {problem.message}")

    @button("Preview", icon="visibility", permissions=("view",))
    def look(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """As a chosen person, else as whoever was here last. Changes nothing."""
        template = self.row(request, object_id)
        form = PersonForm(request.GET if request.GET.get("person") else None)
        profile_id = form.cleaned_data["person"] if form.is_valid() else None
        if profile_id is None and not form.errors:
            latest = Profile.objects.filter(merged_into=None).order_by("-last_seen")
            profile_id = latest.values_list("pk", flat=True).first()
        context: dict[str, Any] = {
            "title": f"Preview of {template}",
            "template": template,
            "form": form,
            "back": self.url("change", template.pk),
        }
        if profile_id is not None:
            context |= show_person(template, profile_id)
            context["costs"] = list_costs(template)
        return self.show(request, "admin/campaigns/preview.html", context)


def list_costs(template: Template) -> list[str]:
    """What pins and boosts cost; nothing where a slot cannot be filled at all."""
    try:
        return [str(one) for one in preview.list_costs(template, now=clock.now())]
    except (EngageError, RedisError, OSError):
        return []  # the reason stands in the preview itself


def show_person(template: Template, profile_id: int) -> dict[str, Any]:
    """The filled template for the preview page, or why this person gets nothing."""
    attributes = Profile.objects.filter(pk=profile_id).values_list("attributes", flat=True).first()
    person = {"person": name_person(attributes, profile_id), "profile_id": profile_id}
    try:
        seen = preview.preview(template, profile_id, now=clock.now()).personal
    except EngageError as exc:
        return person | {"problem": exc.message}
    except (RedisError, OSError):
        return person | {"problem": "the queue does not answer, so nothing can be filled"}
    if seen.drop:
        word = DROPS.get(seen.drop, seen.drop.replace("_", " "))
        detail = seen.problem or describe(seen.short)
        return person | {"problem": f"{word}. {detail}".strip()}
    shown = [
        {"name": card["name"], "reason": card["reason"], "rung": item["rung"].replace("_", " ")}
        for card, item in zip(seen.cards, seen.items, strict=False)
    ]
    short = [describe([one]) for one in seen.short]
    found = {"content": seen.content, "shown": shown, "short": short}
    if template.channel == "sms":
        found["segments"] = count_segments(seen.content.body)
        found["too_long"] = utf16_length(seen.content.body) > LONGEST_TEXT
    return person | found
