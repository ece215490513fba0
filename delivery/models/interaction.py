"""What people did with messages, and where our links lead."""

from django.db import models
from django.db.models import Q


class Interaction(models.Model):
    """What somebody did with a message, or with one of its products."""

    class Kind(models.TextChoices):
        IMPRESSION = "impression"
        OPEN = "open"
        CLICK = "click"
        DISMISS = "dismiss"
        UNSUBSCRIBE = "unsubscribe"
        TRAP = "trap"  # a link that no person sees was followed: always a machine's

    pk = models.CompositePrimaryKey("profile_id", "id")
    profile_id = models.BigIntegerField()
    id = models.UUIDField()  # version 7
    key = models.UUIDField()  # of what makes it one interaction: reporting twice counts once
    message_id = models.UUIDField()
    campaign_id = models.BigIntegerField()
    run_id = models.BigIntegerField(null=True)
    variant_id = models.BigIntegerField()
    channel = models.CharField(max_length=20)
    kind = models.CharField(max_length=12, choices=Kind.choices)
    item_id = models.CharField(max_length=255, blank=True)  # "": the message as a whole
    position = models.SmallIntegerField(null=True)  # rank of the item in its slot, 1 first
    machine = models.BooleanField(default=False)  # a gateway or prefetch, left out of reports
    ts = models.DateTimeField()
    # Where a click led that may still turn out to be a machine's; its digest. Then it becomes an
    # event of the person, and this is null.
    untold_link = models.UUIDField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["profile_id", "key"], name="interaction_once")
        ]
        indexes = [
            models.Index(fields=["run_id", "kind"], name="interaction_run"),  # a run's figures
            models.Index(fields=["campaign_id", "ts"], name="interaction_campaign"),
            models.Index(  # clicks that are no events yet
                fields=["ts"], name="interaction_untold", condition=Q(untold_link__isnull=False)
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} of {self.message_id}"


class Link(models.Model):
    """The target of a tracked link; tokens carry its number, so no redirect leads elsewhere."""

    digest = models.UUIDField(unique=True)
    url = models.TextField()
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return self.url
