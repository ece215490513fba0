from collections.abc import Mapping
from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from engage.lib import screen
from engage.lib.admin import Page, display
from recommendations.forms import HandPickedForm
from recommendations.models import Build, HandPicked


@admin.register(Build)
class BuildAdmin(Page):
    list_display = ("name", "state_now", "quality_words", "learned_from", "took", "published_at")
    list_filter = ("state", "catalog")
    ordering = ("-started_at",)
    actions = None
    fields = (
        ("catalog", "state_now"),
        "reason",
        ("started_at", "finished_at", "published_at"),
        ("quality_table", "data_table"),
        ("timing_table", "parameter_table"),
        ("artifact", "checksum"),
    )
    readonly_fields = (
        "state_now",
        "quality_table",
        "data_table",
        "timing_table",
        "parameter_table",
    )

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    @display("Build", ordering="pk")
    def name(self, build: Build) -> str:
        return f"{build.catalog} #{build.pk}"

    @display("State", ordering="state")
    def state_now(self, build: Build) -> SafeString:
        return screen.state_pill(build.state)

    @display("Quality")
    def quality_words(self, build: Build) -> str:
        """The first figures that are shares, or why there are none."""
        shares = [
            f"{name.replace('_', ' ')} {screen.percent(value, 1)}"
            for name, value in build.quality.items()
            if isinstance(value, float) and 0 <= value <= 1
        ]
        return ", ".join(shares[:2]) or build.reason[:80] or screen.NOTHING

    @display("Learned from")
    def learned_from(self, build: Build) -> str:
        rows = build.data.get("interactions")
        return screen.NOTHING if rows is None else f"{screen.number(rows)} interactions"

    @display("Took")
    def took(self, build: Build) -> str:
        if build.finished_at is None:
            return screen.NOTHING
        return screen.duration((build.finished_at - build.started_at).total_seconds())

    @display("Quality on held-back behaviour")
    def quality_table(self, build: Build) -> SafeString:
        return table_of(build.quality)

    @display("Learned from")
    def data_table(self, build: Build) -> SafeString:
        return table_of(build.data)

    @display("Seconds and memory")
    def timing_table(self, build: Build) -> SafeString:
        return table_of(build.timings)

    @display("Parameters")
    def parameter_table(self, build: Build) -> SafeString:
        return table_of(build.parameters)


def table_of(figures: Mapping[str, Any]) -> SafeString:
    """Name and value in lines; what lies inside a value is shown as it is."""
    lines = [(name.replace("_", " "), write(value)) for name, value in figures.items()]
    rows = format_html_join("", "<dt>{}</dt><dd>{}</dd>", lines)
    return format_html('<dl class="facts">{}</dl>', rows or screen.NOTHING)


def write(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.4g}" if abs(value) < 1_000 else f"{value:,.0f}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


@admin.register(HandPicked)
class HandPickedAdmin(Page):
    form = HandPickedForm
    list_display = ("name", "catalog", "product_count", "updated_at")
    list_filter = ("catalog",)
    ordering = ("catalog", "name")
    fields = (("catalog", "name"), "item_ids")

    @display("Products")
    def product_count(self, picked: HandPicked) -> str:
        return screen.number(len(picked.item_ids))
