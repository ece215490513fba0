"""The registries of builds and rankers, and the lists a marketer picks by hand."""

from django.db import models
from django.utils import timezone


class Build(models.Model):
    """One training and its artifact. The live one of a catalog is served; refused ones say why."""

    class State(models.TextChoices):
        RUNNING = "running"
        LIVE = "live"
        REPLACED = "replaced"  # was live; its artifact is kept for rolling back
        REFUSED = "refused"  # measured worse than the live one
        FAILED = "failed"

    catalog = models.CharField(max_length=50)  # by name: artifacts outlive rows
    state = models.CharField(max_length=10, choices=State.choices, default=State.RUNNING)
    reason = models.TextField(blank=True)
    parameters = models.JSONField(default=dict)
    data = models.JSONField(default=dict)  # interactions, profiles, products, first and last time
    quality = models.JSONField(default=dict)  # metric → value on the held-back events
    popular = models.JSONField(default=dict)  # list → item ids: what is served without an artifact
    timings = models.JSONField(default=dict)  # step → seconds, and peak memory in MB
    progress = models.JSONField(default=dict)  # step, share of the work, when it was told
    artifact = models.CharField(max_length=200, blank=True)  # folder below DATA_DIR/artifacts
    checksum = models.CharField(max_length=64, blank=True)  # of the manifest
    patch = models.CharField(max_length=250, blank=True)  # folder below DATA_DIR/patches
    patch_checksum = models.CharField(max_length=64, blank=True)
    patch_facts = models.JSONField(default=dict)  # rows, events, seconds, and what was seen
    patched_at = models.DateTimeField(null=True, blank=True)  # so new are the live lists
    started_at = models.DateTimeField(default=timezone.now)
    finished_at = models.DateTimeField(null=True, blank=True)
    published_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["catalog"], name="build_one_live", condition=models.Q(state="live")
            ),
            models.UniqueConstraint(
                fields=["catalog"], name="build_one_running", condition=models.Q(state="running")
            ),
        ]

    def __str__(self) -> str:
        return f"build {self.pk} of {self.catalog}"


class HandPicked(models.Model):
    """The last rung before giving up: products a person chose, best first."""

    catalog = models.CharField(max_length=50)
    name = models.CharField(max_length=100, default="default")
    item_ids = models.JSONField(default=list)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        verbose_name = "hand-picked list"
        constraints = [
            models.UniqueConstraint(fields=["catalog", "name"], name="hand_picked_catalog_name")
        ]

    def __str__(self) -> str:
        return self.name


class ArmResult(models.Model):
    """What became of the products that an arm of the exploration showed lately."""

    catalog = models.CharField(max_length=50)
    arm = models.CharField(max_length=20)
    shown = models.PositiveBigIntegerField(default=0)  # in messages that were accepted
    clicked = models.PositiveBigIntegerField(default=0)  # of those, by people
    counted_at = models.DateTimeField()

    class Meta:
        verbose_name = "explored source"
        constraints = [
            models.UniqueConstraint(fields=["catalog", "arm"], name="arm_result_catalog_arm"),
            models.CheckConstraint(
                condition=models.Q(clicked__lte=models.F("shown")), name="arm_result_clicked_shown"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.arm} of {self.catalog}"


class Ranker(models.Model):
    """One training on what was shown and clicked. The live one orders the candidates of a rung."""

    class State(models.TextChoices):
        WAITING = "waiting"  # too little was shown; the next training takes this row
        LIVE = "live"
        REPLACED = "replaced"  # was live
        REFUSED = "refused"  # not better than the order that was shown
        OFF = "off"  # switched off by hand, or trained while it was: waits for a person

    catalog = models.CharField(max_length=50)
    state = models.CharField(max_length=10, choices=State.choices)
    reason = models.TextField(blank=True)
    figures = models.JSONField(default=dict)  # what it was learned from and how it was judged
    weights = models.JSONField(default=dict)  # feature → its share of what is explained
    artifact = models.CharField(max_length=200, blank=True)  # folder below DATA_DIR/rankers
    checksum = models.CharField(max_length=64, blank=True)  # of the manifest
    trained_at = models.DateTimeField()
    published_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["catalog"], name="ranker_one_live", condition=models.Q(state="live")
            ),
            models.UniqueConstraint(
                fields=["catalog"], name="ranker_one_waiting", condition=models.Q(state="waiting")
            ),
        ]

    def __str__(self) -> str:
        return f"ranker {self.pk} of {self.catalog}"
