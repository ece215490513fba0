"""What sends a message to one person: a server's wish, or what they did."""

from django.contrib.postgres.fields import ArrayField
from django.db import models


class Occasion(models.Model):
    """One wish, however often it is repeated, or one event; and what its messages say of it."""

    pk = models.CompositePrimaryKey("profile_id", "id")
    profile_id = models.BigIntegerField()
    id = models.UUIDField()  # of the campaign, and of the server's own key or of the event
    campaign_id = models.BigIntegerField(null=True)  # of an event; the same does not come too soon
    message_ids = ArrayField(models.UUIDField())
    properties = models.JSONField()
    created_at = models.DateTimeField()  # of an event: when it happened
    kept_until = models.DateTimeField()  # its messages are over, and nobody repeats it any more

    class Meta:
        indexes = [models.Index(fields=["kept_until"], name="occasion_kept")]  # forgetting

    def __str__(self) -> str:
        return f"occasion {self.id}"
