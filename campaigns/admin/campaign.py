"""Campaigns: a form for the draft, buttons for the launched one."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import unfold.admin
from django.contrib import admin, messages
from django.db.models import Model, OuterRef, Subquery
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.safestring import SafeString

from campaigns import lifecycle, test_send, timing
from campaigns.admin import review
from campaigns.forms import CampaignForm, TestForm, VariantFormSet
from campaigns.models import Campaign, Run, Template, Variant
from campaigns.models.template import Channel
from delivery.controls import SILENT
from engage.lib import clock, screen
from engage.lib.admin import Page, Question, button, display, shown_if
from engage.lib.errors import EngageError

State = Campaign.State
LEGAL = {
    State.DRAFT: ("launch", "send_test", "copy", "cancel"),
    State.ACTIVE: ("pause", "send_test", "copy", "cancel"),
    State.PAUSED: ("resume", "copy", "cancel"),
    State.FINISHED: ("copy",),
    State.CANCELLED: ("copy",),
}
SENT = tuple(channel for channel in Channel.values if channel != Channel.IN_APP)
# Fields that mean something only beside some values of another one, or of a second.
CHOSEN = ("now", "at", "recurring", "launch", "event")  # whoever is not named by a server
PLANNED = ("now", "at", "recurring")  # for a whole audience at its time
AT_ITS_TIME = (*PLANNED, "event")
SHOWN: dict[str, dict[str, Sequence[str]]] = {
    "segment": {"schedule": CHOSEN},
    "control_percent": {"schedule": CHOSEN},
    "sender": {"channel": ("email",), "quiet": ("email",)},
    "endpoint": {"channel": ("webhook",)},
    "on_event": {"schedule": ("event",)},
    "on_where": {"schedule": ("event",)},
    "on_wait": {"schedule": ("event",)},
    "unless_event": {"schedule": ("event",)},
    "again_after": {"schedule": ("event",)},
    "starts_at": {"schedule": ("at", "recurring", "launch")},
    "ends_at": {"schedule": ("recurring", "launch", "event")},
    "recurrence": {"schedule": ("recurring",)},
    "time_zone": {"schedule": ("recurring",)},
    "max_lateness": {"schedule": ("at", "recurring", "event")},
    "expires_after": {"channel": SENT},
    "in_local_time": {"schedule": ("at", "recurring")},
    "cut_off": {"schedule": AT_ITS_TIME},
    "quiet": {"schedule": AT_ITS_TIME},
    "quiet_template": {"quiet": SILENT},
    "spread": {"schedule": PLANNED},
    "per_minute": {"channel": SENT},
    "first_part_wait": {"schedule": PLANNED},
    "most_people": {"schedule": PLANNED},
    "per_day": {"channel": ("in_app",)},
    "lifetime": {"channel": ("in_app",)},
}


def say_length(name: str) -> Callable[[Campaign], str]:
    """How a launched campaign shows a length of time."""

    @display(str(CampaignForm.base_fields[name].label))
    def said(campaign: Campaign) -> str:
        length = getattr(campaign, name)
        return screen.span(timing.useful_for(campaign) if length is None else length)

    return said


LENGTHS = {
    name: say_length(name)
    for name in (
        "max_lateness",
        "expires_after",
        "spread",
        "first_part_wait",
        "on_wait",
        "again_after",
    )
}


class VariantInline(unfold.admin.TabularInline):  # type: ignore[misc]
    model = Variant
    formset = VariantFormSet
    extra = 0
    min_num = 1
    fields = ("name", "template", "weight")
    verbose_name = "wording"
    verbose_name_plural = "Wordings: each gets its share of the people by weight"

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name == "template":  # of each in the list, not what it says
            kwargs["queryset"] = Template.objects.only("name", "channel")
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def has_change_permission(self, request: HttpRequest, obj: Campaign | None = None) -> bool:
        return is_draft(obj) and super().has_change_permission(request, obj)

    def has_add_permission(self, request: HttpRequest, obj: Campaign | None = None) -> bool:
        return is_draft(obj) and super().has_add_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Campaign | None = None) -> bool:
        return is_draft(obj) and super().has_delete_permission(request, obj)


def is_draft(campaign: Model | None) -> bool:
    return not isinstance(campaign, Campaign) or campaign.state == State.DRAFT


@admin.register(Campaign)
class CampaignAdmin(Page):
    form = CampaignForm
    inlines = (VariantInline,)
    list_display = ("name", "state_now", "channel_name", "audience", "when", "last_run")
    list_filter = ("state", "channel", "schedule")
    search_fields = ("name",)
    ordering = ("-updated_at",)
    list_select_related = ("segment", "endpoint")
    autocomplete_fields = ("segment",)
    actions_detail = ("launch", "send_test", "pause", "resume", "cancel", "copy")
    change_form_outer_before_template = "admin/campaigns/campaign_head.html"
    fieldsets = (
        ("What", {"fields": (("name", "channel"), "sender", "endpoint")}),
        ("Who", {"fields": (("segment", "topic"), "control_percent")}),
        (
            "When",
            {
                "fields": (
                    "schedule",
                    ("on_event", "on_wait"),
                    "on_where",
                    ("unless_event", "again_after"),
                    ("starts_at", "ends_at"),
                    ("recurrence", "time_zone"),
                    "in_local_time",
                    ("max_lateness", "expires_after"),
                    "cut_off",
                    ("quiet", "quiet_template"),
                    "priority",
                    ("per_day", "lifetime"),
                )
            },
        ),
        (
            "How fast",
            {
                "fields": (
                    ("spread", "per_minute"),
                    ("first_part_wait", "most_people"),
                )
            },
        ),
    )
    conditional_fields = {
        name: " || ".join(shown_if(other, *values) for other, values in beside.items())
        for name, beside in SHOWN.items()
    }

    def get_queryset(self, request: HttpRequest) -> Any:
        last = Run.objects.filter(campaign=OuterRef("pk")).order_by("-scheduled_for").values("pk")
        return super().get_queryset(request).annotate(last_run_id=Subquery(last[:1]))

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[Any, ...]:
        """What was launched stays as it was launched; a duplicate can be changed."""
        return () if is_draft(obj) else (*CampaignForm.Meta.fields[1:], *LENGTHS.values())

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """Of a launched campaign what concerns it; the form of a draft hides the rest itself."""
        return self.fieldsets if is_draft(obj) else list(list_fieldsets(self.fieldsets, obj))

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return is_draft(obj) and bool(super().has_delete_permission(request, obj))

    @display("State", ordering="state")
    def state_now(self, campaign: Campaign) -> SafeString:
        return screen.state_pill(campaign.state)

    @display("Channel", ordering="channel")
    def channel_name(self, campaign: Campaign) -> str:
        return campaign.get_channel_display()

    @display("Segment", ordering="segment__name")
    def audience(self, campaign: Campaign) -> str:
        if campaign.schedule == Campaign.Schedule.API:
            return "whom your server names"
        if campaign.schedule == Campaign.Schedule.EVENT and not campaign.segment:
            return f"who does “{campaign.on_event}”"
        return campaign.segment.name if campaign.segment else "everybody"

    @display("When", ordering="next_due")
    def when(self, campaign: Campaign) -> str:
        if campaign.state == State.ACTIVE and campaign.next_due:
            return f"next {screen.stamp(campaign.next_due)} UTC"
        if campaign.schedule == Campaign.Schedule.AT and campaign.starts_at:
            return f"{screen.stamp(campaign.starts_at)} UTC"
        return campaign.get_schedule_display()

    @display("Last run")
    def last_run(self, campaign: Any) -> str | SafeString:
        if campaign.last_run_id is None:
            return screen.NOTHING
        return screen.link(
            reverse("admin:campaigns_run_change", args=[campaign.last_run_id]), "figures"
        )

    # --- the page of one campaign -----------------------------------------------------------

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> Any:
        context = dict(extra_context or {})
        if object_id and (campaign := self.get_object(request, object_id)):
            context |= review.head(campaign, now=clock.now())
        return super().changeform_view(request, object_id, form_url, context)

    def legal_buttons(self, row: Campaign) -> tuple[str, ...]:
        legal = LEGAL[State(row.state)]
        # In-app messages are fetched: there is nothing to send.
        return tuple(name for name in legal if name != "send_test" or row.channel != "in_app")

    # --- buttons ----------------------------------------------------------------------------

    @button("Launch…", icon="rocket_launch", tone="primary")
    def launch(self, request: HttpRequest, object_id: str) -> HttpResponse:
        campaign = self.row(request, object_id)
        now, back = clock.now(), self.url("change", object_id)
        if request.method == "POST":
            return launch_now(request, campaign, back=back)
        problems = list(lifecycle.check(campaign, now=now)) if is_draft(campaign) else []
        for problem in problems:
            messages.error(request, f"Not ready: {problem}.")
        if problems:
            return redirect(back)
        return self.ask(request, review.ask_launch(campaign, now=now), deed=str, back=back)

    @button("Send a test…", icon="forward_to_inbox")
    def send_test(self, request: HttpRequest, object_id: str) -> HttpResponse:
        campaign = self.row(request, object_id)
        form = TestForm(request.POST if request.method == "POST" else None)

        def deed() -> str:
            wish = form.cleaned_data
            return test_send.describe(
                test_send.send_test(campaign, wish["person"], now=clock.now(), once=wish["once"])
            )

        question = Question(
            title=f"A test of {campaign}",
            button="Send the test",
            sentences=[
                "One real message goes to this person, filled for them. It is marked as a test "
                "and counts nowhere."
            ],
            form=form,
        )
        return self.ask(request, question, deed=deed, back=self.url("change", campaign.pk))

    @button("Pause…", icon="pause_circle")
    def pause(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self.move(
            request,
            object_id,
            lifecycle.pause,
            title="Pause",
            sentence="Nothing more is sent until you resume. Messages keep their place, but one "
            "that expires meanwhile is dropped.",
            said="is paused",
        )

    @button("Resume…", icon="play_circle", tone="primary")
    def resume(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self.move(
            request,
            object_id,
            lifecycle.resume,
            title="Resume",
            sentence="Sending goes on where it stopped.",
            said="goes on",
        )

    @button("Cancel…", icon="cancel")
    def cancel(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self.move(
            request,
            object_id,
            lifecycle.cancel,
            title="Cancel",
            sentence="What was not sent never will be. What was sent keeps its figures. "
            "This cannot be undone.",
            said="is cancelled",
            danger=True,
        )

    @button("Duplicate…", icon="content_copy", permissions=("campaigns.add_campaign",))
    def copy(self, request: HttpRequest, object_id: str) -> HttpResponse:
        campaign = self.row(request, object_id)
        if request.method == "POST":
            copy = lifecycle.duplicate(campaign)
            messages.success(request, f"“{copy}” is a draft with the same content.")
            return redirect(self.url("change", copy.pk))
        question = Question(
            title=f"Duplicate {campaign}",
            button="Duplicate",
            sentences=["A new draft with the same wordings, segment and schedule."],
        )
        return self.ask(request, question, deed=str, back=self.url("change", campaign.pk))

    def move(
        self,
        request: HttpRequest,
        object_id: str,
        function: Callable[..., None],
        *,
        title: str,
        sentence: str,
        said: str,
        danger: bool = False,
    ) -> HttpResponse:
        campaign = self.row(request, object_id)

        def deed() -> str:
            function(campaign, now=clock.now())
            return f"“{campaign}” {said}."

        question = Question(
            title=f"{title} {campaign}",
            button=f"{title} the campaign",
            sentences=[sentence],
            danger=danger,
        )
        return self.ask(request, question, deed=deed, back=self.url("change", campaign.pk))


def list_fieldsets(fieldsets: Any, campaign: Campaign) -> Iterator[Any]:
    """The fieldsets without the fields that say nothing about this campaign."""
    for title, options in fieldsets:
        rows = [row if isinstance(row, tuple) else (row,) for row in options["fields"]]
        told = [
            tuple(LENGTHS.get(name, name) for name in row if applies(name, campaign))
            for row in rows
        ]
        yield title, {**options, "fields": tuple(row for row in told if row)}


def applies(name: str, campaign: Campaign) -> bool:
    beside = SHOWN.get(name)
    return not beside or any(getattr(campaign, other) in beside[other] for other in beside)


def launch_now(request: HttpRequest, campaign: Campaign, *, back: str) -> HttpResponse:
    """Launch, and lead to the figures of the run that this or an earlier click started."""
    try:
        run = lifecycle.launch(campaign, now=clock.now())
    except EngageError as exc:
        messages.error(request, exc.message)
        return redirect(back)
    messages.success(request, f"“{campaign}” is launched.")
    return redirect(reverse("admin:campaigns_run_change", args=[run.pk]) if run else back)
