from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest

from engage.lib.admin import Page
from engage.profiles.models import Erasure


@admin.register(Erasure)
class ErasureAdmin(Page):
    """The journal of erasures; the page of a person has the button."""

    list_display = ("profile_id", "requested_at", "finished_at")
    ordering = ("-requested_at",)
    actions = None

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False
