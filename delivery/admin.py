from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.safestring import SafeString

from delivery import endpoints, replay, suppression
from delivery.errors import EndpointDisabled
from delivery.forms import (
    RATED,
    SUPPRESSED_ON,
    CapForm,
    EndpointForm,
    QuietHoursForm,
    SendRateForm,
    SuppressionForm,
)
from delivery.models import Cap, QuietHours, SendRate, Suppression, Topic, WebhookEndpoint
from engage.lib import clock, screen
from engage.lib.admin import CappedPaginator, Page, Question, button, display, shown_if

TONES = {"unsubscribed": "amber", "complained": "red", "bounced": "red", "gone": "grey"}


@admin.register(Suppression)
class SuppressionAdmin(Page):
    """Addresses are kept as digests: one can be added or looked up, none can be read."""

    form = SuppressionForm
    paginator = CappedPaginator
    list_display = ("short_digest", "channel", "why", "source", "created_at")
    list_filter = ("channel", "reason")
    search_fields = ("source",)  # shows the box; `get_search_results` does the work
    search_help_text = "A whole address: is it on the list?"
    ordering = ("-created_at",)
    add_fieldsets = ((None, {"fields": (("channel", "address"), "source")}),)
    fields = ("channel", "why", "source", "created_at")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def get_search_results(
        self, request: HttpRequest, queryset: "QuerySet[Suppression]", search_term: str
    ) -> "tuple[QuerySet[Suppression], bool]":
        if not search_term:
            return queryset, False
        digests = [suppression.digest(search_term, channel=one) for one, _ in SUPPRESSED_ON]
        return queryset.filter(digest__in=digests), False

    def save_model(self, request: HttpRequest, obj: Suppression, form: Any, change: bool) -> None:
        """Through the same function as bounces and unsubscriptions; a race adds nothing twice."""
        address = form.cleaned_data["address"]
        suppression.suppress(address, channel=obj.channel, reason=obj.reason, source=obj.source)
        obj.pk = Suppression.objects.get(channel=obj.channel, digest=obj.digest).pk

    @display("Address")
    def short_digest(self, row: Suppression) -> str:
        return f"digest {str(row.digest)[:8]}"

    @display("Why", ordering="reason")
    def why(self, row: Suppression) -> SafeString:
        return screen.pill(row.get_reason_display(), TONES.get(row.reason, "grey"))


@admin.register(Cap)
class CapAdmin(Page):
    """Frequency caps. They hold from the moment they are saved."""

    form = CapForm
    list_display = ("name", "rule", "channel_name", "topic", "enabled")
    fields = (("name", "enabled"), ("most", "period"), "hours", ("channel", "topic"))
    conditional_fields = {"hours": shown_if("period", "hours")}
    ordering = ("name",)

    @display("Rule")
    def rule(self, cap: Cap) -> str:
        rolling = cap.period == Cap.Period.HOURS
        period = f"the last {cap.hours} hours" if rolling else cap.get_period_display()
        return f"at most {cap.most} in {period}"

    @display("Channel", ordering="channel")
    def channel_name(self, cap: Cap) -> str:
        return cap.channel or "all together"


@admin.register(Topic)
class TopicAdmin(Page):
    """What people can choose on their preference page. Campaigns and consents have the name."""

    list_display = ("title", "name")
    fields = (("title", "name"),)
    ordering = ("title",)


@admin.register(QuietHours)
class QuietHoursAdmin(Page):
    """Hours of each person's own clock in which nothing goes out."""

    form = QuietHoursForm
    list_display = ("channel_name", "begin", "end")
    fields = ("channel", ("begin", "end"))

    @display("Channel", ordering="channel")
    def channel_name(self, quiet: QuietHours) -> str:
        return quiet.channel or "all channels"


@admin.register(SendRate)
class SendRateAdmin(Page):
    """How fast the providers may be called. The rate of a run is its campaign's."""

    form = SendRateForm
    list_display = ("scope_name", "per_minute")
    fields = ("scope", "per_minute")

    def get_queryset(self, request: HttpRequest) -> "QuerySet[SendRate]":
        rates: QuerySet[SendRate] = super().get_queryset(request)
        return rates.exclude(scope__startswith="run ")

    @display("Channel or provider", ordering="scope")
    def scope_name(self, rate: SendRate) -> str:
        return dict(RATED).get(rate.scope, rate.scope)


@admin.register(WebhookEndpoint)
class WebhookEndpointAdmin(Page):
    form = EndpointForm
    list_display = ("name", "url", "state", "version", "rotated_at")
    search_fields = ("name", "url")
    ordering = ("name",)
    actions = None
    actions_detail = ("secret", "rotate", "resend", "disable", "enable")
    readonly_fields = ("state", "version", "rotated_at")

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return ("name", "url", "state", ("version", "rotated_at")) if obj else ("name", "url")

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Campaigns name their endpoint; it can be disabled."""
        return False

    def has_secret_permission(self, request: HttpRequest, object_id: object = None) -> bool:
        return bool(request.user.has_perm("delivery.view_secret"))

    @display("State")
    def state(self, endpoint: WebhookEndpoint) -> SafeString:
        if endpoint.disabled_at is None:
            return screen.pill("enabled", "green")
        return screen.pill(f"disabled: {endpoint.reason}", "red")

    def legal_buttons(self, row: WebhookEndpoint) -> tuple[str, ...]:
        now_legal = ("enable",) if row.disabled_at else ("resend", "disable")
        return ("secret", "rotate", *now_legal)

    @button("Secret", icon="key", permissions=("secret",))
    def secret(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """The admin forbids storing its answers."""
        endpoint = self.row(request, object_id)
        first, *others = endpoints.list_secrets(endpoint, now=clock.now())
        return self.show(
            request,
            "admin/delivery/secret.html",
            {
                "title": f"The secret of {endpoint}",
                "endpoint": endpoint,
                "secret": first,
                "others": len(others),
                "back": self.url("change", endpoint.pk),
            },
        )

    @button("Rotate the secret…", icon="autorenew")
    def rotate(self, request: HttpRequest, object_id: str) -> HttpResponse:
        endpoint = self.row(request, object_id)

        def deed() -> str:
            endpoints.rotate(endpoint, now=clock.now())
            return f"“{endpoint}” has a new secret. For 24 hours the old one signs, too."

        question = Question(
            title=f"A new secret for {endpoint}",
            button="Rotate the secret",
            sentences=[
                "Messages carry two signatures for 24 hours, so that the receiver can change at "
                "any time in them. Rotate again sooner, and the secret before is worth nothing."
            ],
        )
        return self.ask(request, question, deed=deed, back=self.url("change", endpoint.pk))

    @button("Send failed messages again…", icon="replay")
    def resend(self, request: HttpRequest, object_id: str) -> HttpResponse:
        endpoint = self.row(request, object_id)
        now = clock.now()
        # The room above has them by its foreign key; nothing of it is imported here.
        campaign_ids = list(endpoint.campaigns.values_list("pk", flat=True))

        def deed() -> str:
            if endpoint.disabled_at is not None:
                raise EndpointDisabled(f"“{endpoint}” is disabled: enable it first.")
            again = replay.plan_again(campaign_ids, now=now)
            if not again.messages:
                return "There was nothing to send again."
            rest = " More wait: press the button again." if again.more else ""
            return f"{again.messages:,} messages to “{endpoint}” are on their way again.{rest}"

        found = replay.count(campaign_ids, now=now)
        question = Question(
            title=f"Send failed messages to {endpoint} again",
            button="Send them again",
            sentences=[
                f"What this receiver did not take in the last {replay.LOOKED_BACK.days} days goes "
                f"to it once more, at most {replay.MOST:,} messages at a time. Each keeps its "
                "id, so a receiver that has one already can drop it. Consents, caps and pauses "
                "hold as ever.",
                *([] if found else ["There is nothing to send again."]),
            ],
            facts=[(why, f"{messages:,}") for why, messages in found.items()],
        )
        return self.ask(request, question, deed=deed, back=self.url("change", endpoint.pk))

    @button("Disable…", icon="block", tone="danger")
    def disable(self, request: HttpRequest, object_id: str) -> HttpResponse:
        endpoint = self.row(request, object_id)

        def deed() -> str:
            endpoints.disable(endpoint, reason=endpoints.BY_HAND, now=clock.now())
            return f"“{endpoint}” is disabled: nothing is sent there."

        question = Question(
            title=f"Disable {endpoint}",
            button="Disable the endpoint",
            sentences=["Messages to it are suppressed, also of campaigns that run now."],
            danger=True,
        )
        return self.ask(request, question, deed=deed, back=self.url("change", endpoint.pk))

    @button("Enable…", icon="check_circle", tone="primary")
    def enable(self, request: HttpRequest, object_id: str) -> HttpResponse:
        endpoint = self.row(request, object_id)

        def deed() -> str:
            endpoints.enable(endpoint)
            return f"“{endpoint}” is enabled again."

        question = Question(
            title=f"Enable {endpoint}",
            button="Enable the endpoint",
            sentences=[
                "New messages go to it. Those that failed or were suppressed meanwhile are not "
                "sent by that: “Send failed messages again…” does it."
            ],
        )
        return self.ask(request, question, deed=deed, back=self.url("change", endpoint.pk))
