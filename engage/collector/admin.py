from typing import Any

from django.contrib import admin
from django.db.models import Count
from django.http import HttpRequest
from django.utils.safestring import SafeString

from engage.collector.models import Quarantined, SdkKey, Source
from engage.lib import clock, screen
from engage.lib.admin import Page, display


@admin.register(Source)
class SourceAdmin(Page):
    list_display = ("name", "key_count", "created_at")
    search_fields = ("name",)
    fields = ("name",)

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).annotate(key_rows=Count("keys"))

    @display("Keys", ordering="key_rows")
    def key_count(self, source: Any) -> str:
        return screen.number(source.key_rows)


@admin.register(SdkKey)
class SdkKeyAdmin(Page):
    list_display = ("hint", "source", "kind", "state", "created_at", "expires_at")
    list_filter = ("kind", "source")
    fields = ("source", "kind", "hint", "created_at", "expires_at", "revoked_at")

    @display("State")
    def state(self, key: SdkKey) -> SafeString:
        if key.revoked_at:
            return screen.pill("revoked", "red")
        if key.expires_at and key.expires_at <= clock.now():
            return screen.pill("expired", "amber")
        return screen.pill("valid", "green")


@admin.register(Quarantined)
class QuarantinedAdmin(Page):
    list_display = ("entry_id", "received_at", "why", "replayed_at")
    ordering = ("-created_at",)

    @display("Why")
    def why(self, row: Quarantined) -> str:
        return row.error.splitlines()[0][:120] if row.error else ""
