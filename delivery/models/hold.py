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


class ChannelPause(models.Model):
    """The provider is away or asked to wait: nothing of the channel is claimed before `until`."""

    channel = models.CharField(max_length=20, primary_key=True)
    until = models.DateTimeField()
    reason = models.CharField(max_length=100)

    def __str__(self) -> str:
        return f"{self.channel} until {self.until:%H:%M:%S}"
