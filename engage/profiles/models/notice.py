"""Events that a room above must hear of, written in the transaction that stored them."""

from django.db import models

from engage.profiles.models.history import THIS_TRANSACTION


class Notice(models.Model):
    """Read by each consumer in commit order, up to its own cursor; see `notices.py`."""

    txid = models.BigIntegerField(db_default=THIS_TRANSACTION)
    profile_id = models.BigIntegerField()
    name = models.CharField(max_length=200)
    ts = models.DateTimeField()
    message_id = models.CharField(max_length=100)
    properties = models.JSONField(default=dict)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        indexes = [models.Index(fields=["txid", "id"], name="notice_order")]

    def __str__(self) -> str:
        return f"{self.name} of {self.profile_id}"


class NoticeCursor(models.Model):
    """How far one consumer has read; moved in the transaction of its effects."""

    consumer = models.CharField(max_length=50, primary_key=True)
    txid = models.BigIntegerField(default=0)
    last_id = models.BigIntegerField(default=0)

    def __str__(self) -> str:
        return self.consumer


class WatchedEvent(models.Model):
    """An event of this name leaves a notice, because a consumer wants to hear of it."""

    pk = models.CompositePrimaryKey("consumer", "name")
    consumer = models.CharField(max_length=50)
    name = models.CharField(max_length=200)

    def __str__(self) -> str:
        return f"{self.consumer} watches {self.name}"
