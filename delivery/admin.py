from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString

from delivery import suppression
from delivery.forms import SuppressionForm
from delivery.models import Suppression
from engage.lib import screen
from engage.lib.admin import CappedPaginator, Page, display

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
