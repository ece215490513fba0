"""What a marketer types about addresses that must not be written to."""

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from delivery import suppression
from delivery.models import Cap, QuietHours, SendRate, Suppression, WebhookEndpoint
from delivery.phones import find_number
from engage.lib.outbound import UrlNotAllowed, read_url

SENT_BY = [
    ("email", "E-mail"), ("push", "Push"), ("web_push", "Web push"), ("sms", "SMS"),
    ("webhook", "Webhook"), ("inbox", "Inbox"),
]  # fmt: skip
# An endpoint is disabled instead, and an inbox belongs to its person.
SUPPRESSED_ON = [one for one in SENT_BY if one[0] not in {"webhook", "inbox"}]
COUNTED = [("", "All together"), *SENT_BY, ("in_app", "In-app")]
QUIET = [("", "All channels"), *SENT_BY]
# Push has two providers; elsewhere the channel is the provider.
RATED = [*SENT_BY, ("fcm", "Push: FCM (Android)"), ("apns", "Push: APNs (iOS)")]


class SuppressionForm(forms.ModelForm):  # type: ignore[type-arg]
    """An address comes in and only its digest is kept."""

    channel = forms.ChoiceField(choices=SUPPRESSED_ON, widget=UnfoldAdminSelectWidget)
    address = forms.CharField(
        max_length=2000,
        widget=UnfoldAdminTextInputWidget(attrs={"autocomplete": "off"}),
        help_text="E-mail address, phone number, or the token of a device. Only a digest of it is "
        "kept.",
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
        if channel == "sms" and not find_number(address):
            raise ValidationError({"address": "Write the number with its country, as +49170…"})
        if suppression.is_blocked(address, channel=channel):
            raise ValidationError({"address": "This address is on the list already."})
        self.instance.digest = suppression.digest(address, channel=channel)
        self.instance.reason = Suppression.Reason.MANUAL
        return cleaned


class CapForm(forms.ModelForm):  # type: ignore[type-arg]
    channel = forms.ChoiceField(choices=COUNTED, required=False, widget=UnfoldAdminSelectWidget)

    class Meta:
        model = Cap
        fields = ("name", "most", "period", "hours", "channel", "topic", "enabled")
        labels = {"most": "At most", "period": "In", "hours": "Hours"}
        help_texts = {
            "most": "Messages to one person. Two devices of one run are one message.",
            "hours": "30 days (720 hours) at most.",
            "topic": "Only messages of campaigns with this topic. Empty: of any.",
        }


class QuietHoursForm(forms.ModelForm):  # type: ignore[type-arg]
    channel = forms.ChoiceField(choices=QUIET, required=False, widget=UnfoldAdminSelectWidget)

    class Meta:
        model = QuietHours
        fields = ("channel", "begin", "end")
        help_texts = {
            "begin": "By the clock of the person, in the time zone of their profile.",
            "end": "An earlier hour than the begin is one of the next morning.",
        }

    def clean(self) -> dict[str, Any] | None:
        cleaned = super().clean() or self.cleaned_data
        if cleaned.get("begin") is not None and cleaned.get("begin") == cleaned.get("end"):
            raise ValidationError({"end": "The hours end when they begin: there are none."})
        return cleaned


class SendRateForm(forms.ModelForm):  # type: ignore[type-arg]
    scope = forms.ChoiceField(
        label="Channel or provider",
        choices=RATED,
        widget=UnfoldAdminSelectWidget,
        help_text="The rate of push holds for both of its providers together.",
    )

    class Meta:
        model = SendRate
        fields = ("scope", "per_minute")
        labels = {"per_minute": "Messages a minute"}
        help_texts = {"per_minute": "What the provider allows, over all campaigns."}


class EndpointForm(forms.ModelForm):  # type: ignore[type-arg]
    class Meta:
        model = WebhookEndpoint
        fields = ("name", "url")
        labels = {"url": "URL"}
        widgets = {"url": UnfoldAdminTextInputWidget()}
        help_texts = {
            "url": "https, on the public internet. Every message of a campaign with this endpoint "
            "is posted there, signed by Standard Webhooks."
        }

    def clean_url(self) -> str:
        url: str = self.cleaned_data["url"].strip()
        try:
            read_url(url)
        except UrlNotAllowed as exc:
            raise ValidationError(f"Nothing can be sent there: {exc}.") from exc
        return url
