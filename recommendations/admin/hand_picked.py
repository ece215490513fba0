"""The lists that a marketer picks by hand."""

from django.contrib import admin

from engage.lib import screen
from engage.lib.admin import Page, display
from recommendations.forms import HandPickedForm
from recommendations.models import HandPicked


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
