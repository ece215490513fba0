"""What a marketer types about recommendations."""

from typing import Any

from django import forms
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from catalog.models import Catalog, Product
from engage.lib.forms import WordsField
from recommendations.models import HandPicked

MOST_PICKED = 200


class BuildNowForm(forms.Form):
    catalog = forms.ModelChoiceField(
        queryset=Catalog.objects.order_by("name"),
        to_field_name="name",
        empty_label=None,
        widget=UnfoldAdminSelectWidget,
    )

    def clean_catalog(self) -> str:
        found: Catalog = self.cleaned_data["catalog"]
        return found.name


class AudienceForm(forms.Form):
    catalog = forms.ModelChoiceField(
        queryset=Catalog.objects.order_by("name"),
        to_field_name="name",
        empty_label=None,
        widget=UnfoldAdminSelectWidget,
    )
    item = forms.CharField(label="Product id", max_length=255, widget=UnfoldAdminTextInputWidget)

    def clean_catalog(self) -> str:
        found: Catalog = self.cleaned_data["catalog"]
        return found.name


class HandPickedForm(forms.ModelForm):  # type: ignore[type-arg]
    catalog = forms.ModelChoiceField(
        queryset=Catalog.objects.order_by("name"),
        to_field_name="name",
        empty_label=None,
        widget=UnfoldAdminSelectWidget,
    )
    item_ids = WordsField(
        label="Products",
        area=True,
        help_text="Product ids, one in a line, the best first.",
    )

    class Meta:
        model = HandPicked
        fields = ("catalog", "name", "item_ids")

    def clean_catalog(self) -> str:
        found: Catalog = self.cleaned_data["catalog"]
        return found.name

    def clean(self) -> dict[str, Any] | None:
        cleaned = super().clean() or self.cleaned_data
        wanted: list[str] = cleaned.get("item_ids") or []
        if len(wanted) > MOST_PICKED:
            self.add_error("item_ids", f"At most {MOST_PICKED} products.")
        elif wanted and "catalog" in cleaned:
            known = set(
                Product.objects.filter(
                    catalog__name=cleaned["catalog"], item_id__in=wanted, deleted_at=None
                ).values_list("item_id", flat=True)
            )
            missing = [item for item in wanted if item not in known]
            if missing:
                named = ", ".join(f"“{item}”" for item in missing[:5])
                more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
                self.add_error("item_ids", f"The catalog has no product {named}{more}.")
        return cleaned
