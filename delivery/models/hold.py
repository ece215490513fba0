"""What must not be sent now: runs that somebody stopped, providers that asked for a pause."""

from django.db import models


class RunHold(models.Model):
    """Written in the transaction that pauses or cancels a run; the mark looks here."""

    class State(models.TextChoices):
        PAUSED = "paused"
        CANCELLED = "cancelled"

    run_id = models.BigIntegerField(primary_key=True)
    state = models.CharField(max_length=10, choices=State.choices)

    def __str__(self) -> str:
        return f"run {self.run_id} {self.state}"


class RunPlan(models.Model):
    """A run that is being planned; see `planning.py`. Gone when its audience is through."""

    run_id = models.BigIntegerField(primary_key=True)
    channel = models.CharField(max_length=20)
    topic = models.CharField(max_length=100, blank=True)
    priority = models.SmallIntegerField()
    reached = models.BigIntegerField(default=0)  # the last profile id that was planned
    began_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"run {self.run_id} up to {self.reached}"


class ChannelPause(models.Model):
    """The provider is away or asked to wait: nothing of the channel is claimed before `until`."""

    channel = models.CharField(max_length=20, primary_key=True)
    until = models.DateTimeField()
    reason = models.CharField(max_length=100)

    def __str__(self) -> str:
        return f"{self.channel} until {self.until:%H:%M:%S}"
