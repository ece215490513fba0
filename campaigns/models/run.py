"""One execution of a campaign."""

from django.db import models

from campaigns.models.campaign import Campaign


class Run(models.Model):
    """Unique by due time: two schedulers, a double click and a repeated call make one row.

    Fan-out walks the audience by profile id; `cursor` moves in the transaction that plans the
    messages up to it.
    """

    class State(models.TextChoices):
        PLANNING = "planning"  # fanning out
        SENDING = "sending"  # everything planned, something open
        PAUSED = "paused"
        FINISHED = "finished"  # everything planned, nothing open
        CANCELLED = "cancelled"
        MISSED = "missed"  # later than the campaign allows; a human decides

    campaign = models.ForeignKey(Campaign, models.PROTECT, related_name="runs")
    scheduled_for = models.DateTimeField()
    state = models.CharField(max_length=10, choices=State.choices, default=State.PLANNING)
    frozen_at = models.DateTimeField(null=True)  # the segment's answer at this moment
    rule = models.JSONField(null=True)  # the segment's rule at that moment; later edits miss it
    upto = models.BigIntegerField(null=True)  # newest profile when it started: the frozen end
    cursor = models.BigIntegerField(default=0)  # last profile id fanned out
    audience = models.IntegerField(default=0)  # profiles the segment gave so far
    planned = models.IntegerField(default=0)  # messages
    held_out = models.IntegerField(default=0)  # control group
    stopped_because = models.CharField(max_length=200, blank=True)  # it paused itself; see rails
    watched_from = models.DateTimeField(null=True)  # what happened before is forgiven
    oversize_allowed = models.BooleanField(default=False)  # a human saw how many they are
    started_at = models.DateTimeField(auto_now_add=True)
    planned_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["campaign", "scheduled_for"], name="run_due_once")
        ]
        indexes = [
            models.Index(fields=["state"], name="run_open",
                         condition=models.Q(state__in=["planning", "sending"])),
        ]  # fmt: skip

    def __str__(self) -> str:
        return f"{self.campaign} {self.scheduled_for:%Y-%m-%d %H:%M}"


class ControlMember(models.Model):
    """Who was held out of a run, for comparing."""

    pk = models.CompositePrimaryKey("profile_id", "run_id")
    profile_id = models.BigIntegerField()
    run = models.ForeignKey(Run, models.CASCADE)

    def __str__(self) -> str:
        return f"{self.profile_id} held out of {self.run_id}"
