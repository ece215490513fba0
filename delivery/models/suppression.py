"""Addresses that must not be written to, whoever they belong to."""

from django.db import models


class Suppression(models.Model):
    """Kept as a digest, so that erasing a person can keep the promise not to write again."""

    class Reason(models.TextChoices):
        UNSUBSCRIBED = "unsubscribed"
        BOUNCED = "bounced"
        COMPLAINED = "complained"
        MANUAL = "manual"
        GONE = "gone"

    channel = models.CharField(max_length=20)
    digest = models.UUIDField()  # of the normalised address
    reason = models.CharField(max_length=20, choices=Reason.choices)
    source = models.CharField(max_length=100, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["channel", "digest"], name="suppression_address")
        ]

    def __str__(self) -> str:
        return f"{self.channel} {self.reason}"
