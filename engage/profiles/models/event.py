"""What happened, append-only; and the ids that keep it from being stored twice."""

from django.contrib.postgres.indexes import BrinIndex
from django.db import models


class Event(models.Model):
    """One acknowledged event. The table is partitioned by month of `ts` (migration 0002)."""

    pk = models.CompositePrimaryKey("profile_id", "ts", "id")
    profile_id = models.BigIntegerField()  # no foreign key: its check would cost a third of COPY
    ts = models.DateTimeField()  # corrected: received_at - (sent_at - client time)
    id = models.UUIDField()  # version 7, ours
    source_id = models.IntegerField()
    message_id = models.CharField(max_length=100)
    kind = models.CharField(max_length=10)  # track, identify, page, screen, group, alias
    name = models.CharField(max_length=200)  # track: the event; others: their kind's word
    user_id = models.CharField(max_length=255, blank=True)  # as it came, for undoing a merge
    anonymous_id = models.CharField(max_length=255, blank=True)
    properties = models.JSONField(default=dict)
    context = models.JSONField(default=dict)
    received_at = models.DateTimeField()

    class Meta:
        managed = False  # Django cannot declare partitions; the migration's SQL does
        db_table = "profiles_event"

    def __str__(self) -> str:
        return f"{self.name} {self.ts:%Y-%m-%d %H:%M:%S}"


class DedupeId(models.Model):
    """(source, message_id) of the last `DEDUPE_DAYS`, as a 16-byte digest."""

    pk = models.CompositePrimaryKey("digest", "source_id")
    digest = models.UUIDField()  # the id itself where it is a UUID: version 7 keeps the index warm
    source_id = models.IntegerField()
    seen_on = models.DateField()

    class Meta:
        indexes = [BrinIndex(fields=["seen_on"], name="dedupe_seen_on")]  # dropping old ones

    def __str__(self) -> str:
        return str(self.digest)
