"""What to say, to whom and when; and in which wording."""

from datetime import timedelta

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models

from campaigns.models.segment import Segment
from campaigns.models.template import Channel, Template
from delivery.models import WebhookEndpoint


class Campaign(models.Model):
    class Schedule(models.TextChoices):
        NOW = "now", "When launched"
        AT = "at", "Once, at a time"
        RECURRING = "recurring", "Again and again"
        LAUNCH = "launch", "When the app opens"  # in-app only
        EVENT = "event", "When somebody does something"
        API = "api", "When your server asks"  # transactional, one person at a time

    # One run from the launch to the end, with a message for each occasion.
    ON_OCCASION = (Schedule.EVENT, Schedule.API)

    class State(models.TextChoices):
        DRAFT = "draft"
        ACTIVE = "active"  # launched: scheduled, sending or live in the app
        PAUSED = "paused"
        FINISHED = "finished"
        CANCELLED = "cancelled"

    class Quiet(models.TextChoices):
        HOLD = "hold", "Wait until they are over"
        DROP = "drop", "Do not send it"
        IGNORE = "ignore", "Send it all the same"
        INBOX = "inbox", "Put it into the inbox"
        EMAIL = "email", "Send an e-mail instead"

    name = models.CharField(max_length=100, unique=True)
    channel = models.CharField(max_length=10, choices=Channel.choices)
    segment = models.ForeignKey(Segment, models.PROTECT, null=True, blank=True)  # null: everybody
    topic = models.CharField(
        max_length=100, blank=True
    )  # of the consent it needs, besides channel's
    state = models.CharField(max_length=10, choices=State.choices, default=State.DRAFT)
    schedule = models.CharField(max_length=10, choices=Schedule.choices, default=Schedule.NOW)
    starts_at = models.DateTimeField(null=True, blank=True)
    ends_at = models.DateTimeField(null=True, blank=True)
    next_due = models.DateTimeField(null=True, editable=False)  # of the next run
    launched_at = models.DateTimeField(null=True, editable=False)  # due times before it are past
    recurrence = models.CharField(
        max_length=200, blank=True
    )  # an RRULE, in `time_zone`'s wall clock
    time_zone = models.CharField(max_length=50, default="UTC")
    max_lateness = models.DurationField(
        default=timedelta(hours=1)
    )  # a later run waits for a human
    # A message is no use then. Null: as long as its channel may need, see `timing.useful_for`.
    expires_after = models.DurationField(null=True, blank=True)
    in_local_time = models.BooleanField(default=False)  # the wall clock is each person's own
    spread = models.DurationField(default=timedelta(0))  # the messages go over so long
    per_minute = models.PositiveIntegerField(  # messages at most; null: as fast as it goes
        null=True, blank=True, validators=[MinValueValidator(1)]
    )
    cut_off = models.TimeField(null=True, blank=True)  # no message later than this by the clock
    quiet = models.CharField(max_length=6, choices=Quiet.choices, default=Quiet.HOLD)
    quiet_template = models.ForeignKey(
        Template, models.PROTECT, null=True, blank=True, related_name="campaigns_at_night"
    )  # what the other channel says, where one goes by another in quiet hours
    # The first hundredth goes alone, and the rest after this unless the run was stopped.
    first_part_wait = models.DurationField(default=timedelta(0))
    most_people = models.PositiveIntegerField(null=True, blank=True)  # more: something is wrong
    control_percent = models.DecimalField(
        max_digits=5, decimal_places=2, default=0,
        validators=[MinValueValidator(0), MaxValueValidator(100)],
    )  # fmt: skip
    on_event = models.CharField(max_length=200, blank=True)  # what sends it to who does it
    on_where = models.JSONField(default=list, blank=True)  # conditions on the event's properties
    on_wait = models.DurationField(default=timedelta(0))  # from the event to the message
    unless_event = models.CharField(max_length=200, blank=True)  # done meanwhile, it is not sent
    again_after = models.DurationField(default=timedelta(hours=24))  # not again sooner
    endpoint = models.ForeignKey(
        WebhookEndpoint, models.PROTECT, null=True, blank=True, related_name="campaigns"
    )  # webhook: where it goes
    sender = models.CharField(max_length=255, blank=True)  # email: Name <address>
    priority = models.PositiveSmallIntegerField(
        default=50, validators=[MaxValueValidator(100)]
    )  # higher first: in the app, and where a cap lets only some go
    per_day = models.PositiveSmallIntegerField(default=1)  # in-app: impressions a day
    lifetime = models.PositiveSmallIntegerField(default=3)  # in-app: impressions in all
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        indexes = [
            # the scheduler's question, once a second
            models.Index(fields=["next_due"], name="campaign_due",
                         condition=models.Q(state="active", next_due__isnull=False)),
        ]  # fmt: skip
        constraints = [
            models.CheckConstraint(
                name="campaign_control_percent",
                condition=models.Q(control_percent__gte=0, control_percent__lte=100),
            ),
        ]

    def __str__(self) -> str:
        return self.name


class Variant(models.Model):
    campaign = models.ForeignKey(Campaign, models.CASCADE, related_name="variants")
    template = models.ForeignKey(Template, models.PROTECT, related_name="variants")
    name = models.CharField(max_length=50, default="a")
    weight = models.PositiveSmallIntegerField(default=1, validators=[MinValueValidator(1)])

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["campaign", "name"], name="variant_campaign_name")
        ]

    def __str__(self) -> str:
        return f"{self.campaign}: {self.name}"
