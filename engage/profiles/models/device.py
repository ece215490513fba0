"""One row per installation that can get a push."""

from django.db import models

from engage.profiles.models.profile import Profile


class Device(models.Model):
    pk = models.CompositePrimaryKey("profile_id", "device_id")
    profile = models.ForeignKey(Profile, models.CASCADE, related_name="devices", db_index=False)
    device_id = models.CharField(max_length=255)
    platform = models.CharField(max_length=20, blank=True)  # ios, android, web
    token = models.TextField(blank=True)  # empty: cannot get a push
    token_ms = models.BigIntegerField(default=0)  # corrected time of the event that brought it
    token_message_id = models.CharField(max_length=100, blank=True)
    model = models.CharField(max_length=100, blank=True)
    os_version = models.CharField(max_length=50, blank=True)
    app_version = models.CharField(max_length=50, blank=True)
    described_ms = models.BigIntegerField(default=0)  # the day that the four facts are from
    last_seen = models.DateTimeField()  # to the day: a row is not rewritten for every event
    gone_at = models.DateTimeField(null=True, blank=True)  # the provider said: unregistered

    class Meta:
        indexes = [
            # a token moves with the phone: find the profile that had it before
            models.Index(fields=["token"], name="device_token", condition=~models.Q(token="")),
        ]

    def __str__(self) -> str:
        return f"device {self.device_id}"
