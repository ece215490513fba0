"""What a marketer types about addresses that must not be written to."""

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from delivery import suppression
from delivery.models import Suppression

CHANNELS = [("email", "E-mail"), ("push", "Push")]


class SuppressionForm(forms.ModelForm):  # type: ignore[type-arg]
    """An address comes in and only its digest is kept."""

    channel = forms.ChoiceField(choices=CHANNELS, widget=UnfoldAdminSelectWidget)
    address = forms.CharField(
        max_length=2000,
        widget=UnfoldAdminTextInputWidget(attrs={"autocomplete": "off"}),
        help_text="E-mail address, or the token of a device. Only a digest of it is kept.",
    )
    source = forms.CharField(
        label="Note",
        max_length=100,
        required=False,
        widget=UnfoldAdminTextInputWidget(),
        help_text="Who asked for it, such as a ticket number. No addresses.",
    )

    class Meta:
        model = Suppression
        fields = ("channel", "source")

    def clean(self) -> dict[str, Any] | None:
        cleaned = super().clean() or self.cleaned_data
        address, channel = cleaned.get("address"), cleaned.get("channel")
        if not address or not channel:
            return cleaned
        if channel == "email" and ("@" not in address.strip("@") or " " in address.strip()):
            raise ValidationError({"address": "This is not an e-mail address."})
        if suppression.is_blocked(address, channel=channel):
            raise ValidationError({"address": "This address is on the list already."})
        self.instance.digest = suppression.digest(address, channel=channel)
        self.instance.reason = Suppression.Reason.MANUAL
        return cleaned
