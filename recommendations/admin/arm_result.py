"""What slots tried, and how much of it each source gets."""

from django.contrib import admin

from engage.lib import screen
from engage.lib.admin import ReadOnly, display
from recommendations import arms
from recommendations.models import ArmResult


@admin.register(ArmResult)
class ArmResultAdmin(ReadOnly):
    """What slots tried, and how much of it each source gets now."""

    list_display = ("arm", "catalog", "shown", "clicked", "rate", "played", "counted_at")
    list_filter = ("catalog",)
    list_display_links = None
    ordering = ("catalog", "arm")
    actions = None

    @display("Click rate")
    def rate(self, row: ArmResult) -> str:
        return screen.percent(row.clicked, row.shown)

    @display("Gets now")
    def played(self, row: ArmResult) -> str:
        """Its part of what is explored; a source that no release knows any more has none."""
        if row.arm not in arms.ARMS:
            return screen.NOTHING
        return screen.percent(arms.probabilities(row.catalog)[arms.ARMS.index(row.arm)], 1)
