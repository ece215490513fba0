"""The rules that keep messages back: caps, quiet hours, rates, a person's own wishes, a halt."""

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import F, Q


class Cap(models.Model):
    """At most so many sends to one person in a period, whichever campaign they are of."""

    class Period(models.TextChoices):
        HOURS = "hours", "the last hours"
        DAY = "day", "the person's day"
        WEEK = "week", "the person's week, from Monday"
        MONTH = "month", "the person's month"

    name = models.CharField(max_length=100, unique=True)
    most = models.PositiveSmallIntegerField(validators=[MinValueValidator(1)])
    period = models.CharField(max_length=5, choices=Period.choices, default=Period.DAY)
    hours = models.PositiveSmallIntegerField(  # of the period "the last hours"; 30 days at most
        default=24, validators=[MinValueValidator(1), MaxValueValidator(720)]
    )
    channel = models.CharField(max_length=20, blank=True)  # "": all together
    topic = models.CharField(max_length=100, blank=True)  # "": all together
    enabled = models.BooleanField(default=True)

    class Meta:
        ordering = ("name",)
        verbose_name = "frequency cap"
        constraints = [
            models.CheckConstraint(name="cap_most", condition=Q(most__gte=1)),
            models.CheckConstraint(name="cap_hours", condition=Q(hours__gte=1, hours__lte=720)),
        ]

    def __str__(self) -> str:
        return self.name


class QuietHours(models.Model):
    """Hours of each person's own clock in which nothing goes out."""

    channel = models.CharField(max_length=20, unique=True, blank=True)  # "": all
    begin = models.TimeField()
    end = models.TimeField()  # before `begin`: past midnight

    class Meta:
        verbose_name_plural = "quiet hours"
        constraints = [
            models.CheckConstraint(name="quiet_hours_some", condition=~Q(begin=F("end")))
        ]

    def __str__(self) -> str:
        return f"{self.channel or 'all channels'} {self.begin:%H:%M} to {self.end:%H:%M}"


class SendRate(models.Model):
    """How fast a channel or one provider of it may be called, or a run's messages may go."""

    # A channel, "fcm" or "apns" of push, or "run 7".
    scope = models.CharField(max_length=30, primary_key=True)
    per_minute = models.PositiveIntegerField(validators=[MinValueValidator(1)])

    class Meta:
        constraints = [models.CheckConstraint(name="rate_some", condition=Q(per_minute__gte=1))]

    def __str__(self) -> str:
        return f"{self.scope} {self.per_minute:,} a minute"


class Preference(models.Model):
    """What a person chose on their preference page. Topics are consents."""

    profile_id = models.BigIntegerField(primary_key=True)
    most_a_week = models.PositiveSmallIntegerField(null=True, blank=True)
    quiet_begin = models.TimeField(null=True, blank=True)
    quiet_end = models.TimeField(null=True, blank=True)
    paused_until = models.DateTimeField(null=True, blank=True)
    stated_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="preference_quiet_both",
                condition=Q(quiet_begin__isnull=True, quiet_end__isnull=True)
                | (Q(quiet_begin__isnull=False, quiet_end__isnull=False)
                   & ~Q(quiet_begin=F("quiet_end"))),
            ),
        ]  # fmt: skip

    def __str__(self) -> str:
        return f"wishes of {self.profile_id}"


class Topic(models.Model):
    """What people can choose on their preference page; campaigns name it."""

    name = models.CharField(max_length=100, unique=True)  # as campaigns and consents have it
    title = models.CharField(max_length=100)  # as people read it

    class Meta:
        ordering = ("title",)

    def __str__(self) -> str:
        return self.title


class Halt(models.Model):
    """While this row stands nothing is claimed and nothing marked, of any channel."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    reason = models.CharField(max_length=200)
    since = models.DateTimeField()

    class Meta:
        constraints = [models.CheckConstraint(name="halt_one", condition=Q(id=1))]

    def __str__(self) -> str:
        return self.reason


class Installation(models.Model):
    """Which installation this database belongs to, and how far it has come; see its file."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    name = models.UUIDField()
    epoch = models.BigIntegerField(default=1)
    moved_at = models.DateTimeField()

    class Meta:
        constraints = [models.CheckConstraint(name="installation_one", condition=Q(id=1))]

    def __str__(self) -> str:
        return f"installation {self.name}, epoch {self.epoch}"
