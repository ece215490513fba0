"""What providers tell us about messages after they took them."""

from django.db import models


class Receipt(models.Model):
    """Append-only, each once: providers repeat themselves and come in any order."""

    class Kind(models.TextChoices):
        DELIVERED = "delivered"
        BOUNCED = "bounced"  # for good: there is no such address
        FAILED = "failed"  # this message did not arrive; the address may be good
        COMPLAINED = "complained"
        OPTED_OUT = "opted_out"  # the person answered STOP, or the carrier did it for them
        GONE = "gone"  # the token is registered no more

    pk = models.CompositePrimaryKey("profile_id", "id")
    profile_id = models.BigIntegerField()
    id = models.UUIDField()  # version 7
    key = models.UUIDField()  # of what makes it one receipt
    message_id = models.UUIDField()
    campaign_id = models.BigIntegerField()
    run_id = models.BigIntegerField(null=True)
    channel = models.CharField(max_length=20)
    kind = models.CharField(max_length=10, choices=Kind.choices)
    detail = models.CharField(max_length=100, blank=True)  # the provider's word; no addresses
    ts = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["profile_id", "key"], name="receipt_once")]
        indexes = [
            models.Index(fields=["run_id", "kind"], name="receipt_run"),  # the breaker's question
            models.Index(fields=["campaign_id", "ts"], name="receipt_campaign"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} of {self.message_id}"
