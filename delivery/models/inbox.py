"""Messages that wait in the app's message centre."""

from django.db import models


class InboxMessage(models.Model):
    """What the app shows of a message of the channel "inbox", until it expires.

    Whether it was read, clicked or dismissed are interactions, as of every message.
    """

    pk = models.CompositePrimaryKey("profile_id", "id")
    profile_id = models.BigIntegerField()
    id = models.UUIDField()  # of the message in the ledger
    campaign_id = models.BigIntegerField()
    content_type = models.CharField(max_length=20, blank=True)
    content = models.JSONField()  # in the shape of in-app messages
    token = models.TextField()  # signed; the app's events about the message bring it back
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()

    class Meta:
        # the nightly question: what is over
        indexes = [models.Index(fields=["expires_at"], name="inbox_expiring")]

    def __str__(self) -> str:
        return f"inbox message {self.id}"
