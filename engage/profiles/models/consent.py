"""What a person agreed to, per channel and topic."""

from django.db import models

from engage.profiles.models.profile import Profile


class Consent(models.Model):
    """The newest statement wins; a tie is an opt-out."""

    class Status(models.TextChoices):
        OPTED_IN = "opted_in", "opted in"
        OPTED_OUT = "opted_out", "opted out"

    pk = models.CompositePrimaryKey("profile_id", "channel", "topic")
    profile = models.ForeignKey(Profile, models.CASCADE, related_name="consents", db_index=False)
    channel = models.CharField(max_length=20)  # email, push, sms, webhook, in_app, inbox
    topic = models.CharField(max_length=100, default="", blank=True)  # "": the whole channel
    status = models.CharField(max_length=10, choices=Status.choices)
    stated_ms = models.BigIntegerField()  # corrected time
    message_id = models.CharField(max_length=100, blank=True)
    source = models.CharField(max_length=100, blank=True)  # sdk, unsubscribe link, import …

    def __str__(self) -> str:
        return f"{self.channel} {self.status}"
