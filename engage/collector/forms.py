"""What an operator types about keys."""

from django import forms
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from engage.collector.models import SdkKey, Source


class NewKeyForm(forms.Form):
    source = forms.CharField(
        max_length=100,
        widget=UnfoldAdminTextInputWidget(attrs={"placeholder": "Shop app"}),
        help_text="The app, site or server that will use it. A name that exists gets one more "
        "key, so that the old one can be replaced without a gap.",
    )
    kind = forms.ChoiceField(
        choices=[
            (SdkKey.Kind.WRITE, "Write key: for apps and sites, public"),
            (SdkKey.Kind.SERVER, "Server key: for your servers, secret"),
        ],
        widget=UnfoldAdminSelectWidget,
    )

    def clean_source(self) -> str:
        """An existing name keeps its spelling."""
        typed: str = self.cleaned_data["source"]
        found = Source.objects.filter(name__iexact=typed).first()
        return found.name if found else typed
