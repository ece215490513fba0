"""What a server asked to be sent."""

from django.contrib.postgres.fields import ArrayField
from django.db import models


class ServerSend(models.Model):
    """One wish, however often it is repeated, and what its messages say of the occasion."""

    pk = models.CompositePrimaryKey("profile_id", "id")
    profile_id = models.BigIntegerField()
    id = models.UUIDField()  # of the campaign and the server's own key
    message_ids = ArrayField(models.UUIDField())
    properties = models.JSONField()
    created_at = models.DateTimeField()
    kept_until = models.DateTimeField()  # its messages are over, and nobody repeats it any more

    class Meta:
        indexes = [models.Index(fields=["kept_until"], name="server_send_kept")]  # forgetting

    def __str__(self) -> str:
        return f"wish {self.id}"
