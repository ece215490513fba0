"""What a marketer gives and says about product files."""

from typing import Any

from django import forms
from unfold.widgets import (
    UnfoldAdminFileFieldWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanWidget,
)

from catalog.models import Catalog


class UploadForm(forms.Form):
    file = forms.FileField(
        label="Product file",
        widget=UnfoldAdminFileFieldWidget,
        help_text="CSV, TSV or JSON lines, plain or .gz. It needs the columns id and name; "
        "category, price, currency, image_url, url, in_stock and group_id are known, any others "
        "become columns of your own.",
    )
    catalog = forms.CharField(
        max_length=50,
        initial="default",
        validators=Catalog._meta.get_field("name").validators,
        widget=UnfoldAdminTextInputWidget(),
        help_text="A name that does not exist yet makes a new catalog.",
    )


class ApplyForm(forms.Form):
    """Asked only when the file would remove many products."""

    allow_removals = forms.BooleanField(
        required=False, label="The file is complete: remove them", widget=UnfoldBooleanWidget
    )

    def __init__(self, *args: Any, many: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not many:
            del self.fields["allow_removals"]
