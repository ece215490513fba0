from typing import Any, ClassVar

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin as BaseGroupAdmin
from django.contrib.auth.admin import UserAdmin as BaseUserAdmin
from django.contrib.auth.models import Group, User
from django.db.models import JSONField, OuterRef, QuerySet, Subquery
from django.http import HttpRequest
from django.urls import reverse
from django.utils.safestring import SafeString
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from campaigns.models import Campaign
from delivery import shown
from engage.collector.models import Source
from engage.lib import screen
from engage.lib.admin import Ledger, Page, display, period_filter
from engage.lib.clock import from_millis
from engage.models import ConsentRow, DeviceRow, EventRow, InteractionRow, MessageRow
from engage.people_admin import ProfileAdmin
from engage.profiles.directory import find_people, name_person
from engage.profiles.models import Profile

__all__ = ["ProfileAdmin"]
admin.site.unregister(User)
admin.site.unregister(Group)


@admin.register(User)
class UserAdmin(BaseUserAdmin, Page):  # type: ignore[misc, type-arg]
    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm


@admin.register(Group)
class GroupAdmin(BaseGroupAdmin, Page):  # type: ignore[misc]
    pass


class PersonLedger(Ledger):
    """A ledger whose rows belong to people: their name is a column, and the search finds them."""

    instead: ClassVar[dict[str, str]] = {"profile_id": "person"}
    search_fields = ("profile_id",)  # shows the box; `get_search_results` does the work
    search_help_text = "A person: number, user id, anonymous id or e-mail"

    def get_queryset(self, request: HttpRequest) -> Any:
        attributes = Profile.objects.filter(pk=OuterRef("profile_id")).values("attributes")[:1]
        return (
            super()
            .get_queryset(request)
            .annotate(person_attributes=Subquery(attributes, output_field=JSONField()))
        )

    def get_search_results(
        self, request: HttpRequest, queryset: "QuerySet[Any]", search_term: str
    ) -> "tuple[QuerySet[Any], bool]":
        if not search_term:
            return queryset, False
        return queryset.filter(profile_id__in=find_people(search_term)), False

    @display("Person")
    def person(self, row: Any) -> SafeString:
        url = reverse("admin:profiles_profile_change", args=[row.profile_id])
        return screen.link(url, name_person(row.person_attributes, row.profile_id))


@admin.register(EventRow)
class EventRowAdmin(PersonLedger):
    row_key = ("profile_id", "ts", "id")
    instead = {"profile_id": "person", "source_id": "source", "ts": "time"}
    list_display = ("time", "name", "person", "kind", "products", "source")
    list_filter = (period_filter("ts"), "kind")
    ordering = ("-ts",)

    @display("Time (UTC)", ordering="ts")
    def time(self, row: EventRow) -> str:
        return f"{row.ts:%Y-%m-%d %H:%M:%S}"

    @display("Products")
    def products(self, row: EventRow) -> str:
        return shorten(", ".join(find_items(row.properties)))

    @display("Source")
    def source(self, row: EventRow) -> str:
        return Source.objects.filter(pk=row.source_id).values_list("name", flat=True).first() or ""

    def key_of(self, row: Any) -> str:
        return f"{row.profile_id}~{row.ts.isoformat()}~{row.id}"


def find_items(properties: Any) -> list[str]:
    """The product ids an event names, for showing."""
    if not isinstance(properties, dict):
        return []
    rows = properties.get("products")
    named = [properties, *(rows if isinstance(rows, list) else [])]
    found = [row.get("product_id") or row.get("sku") for row in named if isinstance(row, dict)]
    return [str(item) for item in found if item]


def shorten(text: str, *, length: int = 60) -> str:
    return text if len(text) <= length else f"{text[: length - 1]}…"


@admin.register(DeviceRow)
class DeviceRowAdmin(PersonLedger):
    row_key = ("profile_id", "device_id")
    list_display = ("device", "person", "platform", "model", "app_version", "push", "last_seen")
    list_filter = ("platform",)
    ordering = ("-last_seen",)
    instead = {"profile_id": "person", "token": "push"}

    @display("Device", ordering="device_id")
    def device(self, row: DeviceRow) -> str:
        return shorten(row.device_id, length=24)

    @display("Push")
    def push(self, row: DeviceRow) -> SafeString:
        if row.gone_at:
            return screen.pill("gone", "red")
        return screen.pill("has a token", "green") if row.token else screen.pill("none", "grey")


@admin.register(ConsentRow)
class ConsentRowAdmin(PersonLedger):
    row_key = ("profile_id", "channel", "topic")
    list_display = ("channel", "topic", "person", "said", "stated", "source")
    list_filter = ("channel", "status")
    instead = {"profile_id": "person", "stated_ms": "stated", "status": "said"}
    ordering = ("-stated_ms",)

    @display("Status", ordering="status")
    def said(self, row: ConsentRow) -> SafeString:
        return screen.state_pill(row.status)

    @display("Stated (UTC)", ordering="stated_ms")
    def stated(self, row: ConsentRow) -> str:
        return screen.stamp(from_millis(row.stated_ms)) if row.stated_ms else screen.NOTHING


class CampaignLedger(PersonLedger):
    """A ledger of messages or of what was done with them."""

    instead = {"profile_id": "person", "campaign_id": "campaign"}

    def get_queryset(self, request: HttpRequest) -> Any:
        name = Campaign.objects.filter(pk=OuterRef("campaign_id")).values("name")[:1]
        return super().get_queryset(request).annotate(campaign_name=Subquery(name))

    @display("Campaign", ordering="campaign_id")
    def campaign(self, row: Any) -> str | SafeString:
        if row.campaign_name is None:
            return screen.NOTHING
        url = reverse("admin:campaigns_campaign_change", args=[row.campaign_id])
        return screen.link(url, row.campaign_name)


@admin.register(MessageRow)
class MessageRowAdmin(CampaignLedger):
    list_display = ("planned", "person", "campaign", "channel", "outcome", "reason", "products")
    list_filter = (period_filter("created_at"), "channel", "state", "kind")
    ordering = ("-created_at",)

    @display("Planned (UTC)", ordering="created_at")
    def planned(self, row: MessageRow) -> str:
        return f"{row.created_at:%Y-%m-%d %H:%M:%S}"

    @display("State", ordering="state")
    def outcome(self, row: MessageRow) -> SafeString:
        return screen.state_pill(row.state)

    @display("Products shown")
    def products(self, row: MessageRow) -> str:
        return shorten(shown.describe(row.items))


@admin.register(InteractionRow)
class InteractionRowAdmin(CampaignLedger):
    list_display = ("time", "kind", "person", "campaign", "channel", "item_id", "machine")
    list_filter = (period_filter("ts"), "channel", "kind", "machine")
    ordering = ("-ts",)

    @display("Time (UTC)", ordering="ts")
    def time(self, row: InteractionRow) -> str:
        return f"{row.ts:%Y-%m-%d %H:%M:%S}"
