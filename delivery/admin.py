from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString

from delivery import suppression
from delivery.forms import CapForm, QuietHoursForm, SendRateForm, SuppressionForm
from delivery.models import Cap, QuietHours, SendRate, Suppression
from engage.lib import screen
from engage.lib.admin import CappedPaginator, Page, display, shown_if

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
        digests = [suppression.digest(search_term, channel=one) for one in ("email", "push")]
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
    fields = (("name", "enabled"), ("most", "period", "hours"), ("channel", "topic"))
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
    list_display = ("scope", "per_minute")
    fields = ("scope", "per_minute")

    def get_queryset(self, request: HttpRequest) -> "QuerySet[SendRate]":
        rates: QuerySet[SendRate] = super().get_queryset(request)
        return rates.exclude(scope__startswith="run ")
