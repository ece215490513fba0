"""The hand-over from the stored events to the columnar history."""

from django.db import models
from django.db.models import Func

THIS_TRANSACTION = Func(
    function="pg_current_xact_id",
    template="(%(function)s()::text::bigint)",
    output_field=models.BigIntegerField(),
)


class Term(models.Model):
    """A small number for an item id or an event name; numbers are never reused."""

    class Kind(models.TextChoices):
        ITEM = "item"
        EVENT = "event"

    kind = models.CharField(max_length=5, choices=Kind.choices)
    value = models.CharField(max_length=255)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["kind", "value"], name="term_kind_value")]

    def __str__(self) -> str:
        return f"{self.kind} {self.value}"


class HistoryBlock(models.Model):
    """The packed columns of the events of one transaction, until the writer appended them.

    A block whose transaction is older than every open one is final: reading those in the order
    (txid, id) is reading in commit order, and nothing can appear before the cursor.
    """

    txid = models.BigIntegerField(db_default=THIS_TRANSACTION)
    rows = models.IntegerField()
    payload = models.BinaryField()

    class Meta:
        indexes = [models.Index(fields=["txid", "id"], name="history_block_order")]

    def __str__(self) -> str:
        return f"block {self.pk}"
