"""One row per person, the names they are known by, and what became of merged and erased ones."""

from django.db import models
from django.db.models.fields.json import KT
from django.db.models.functions import Lower


class Profile(models.Model):
    """A person as we know them: the present `attributes`, and in `stamps` how old each is."""

    attributes = models.JSONField(default=dict)
    stamps = models.JSONField(default=dict)  # name → [corrected ts in ms, message_id]: newest wins
    first_seen = models.DateTimeField()
    last_seen = models.DateTimeField()
    created_at = models.DateTimeField(auto_now_add=True)
    merged_into = models.BigIntegerField(null=True, blank=True)  # a redirect; such rows stay empty

    class Meta:
        indexes = [
            # the admin's search and the suppression of an address
            models.Index(Lower(KT("attributes__email")), name="profile_email"),
            # the columnar history maps merged profiles to their survivors
            models.Index(fields=["merged_into"], name="profile_merged",
                         condition=models.Q(merged_into__isnull=False)),
        ]  # fmt: skip

    def __str__(self) -> str:
        return f"profile {self.pk}"


class Identity(models.Model):
    """A name that clients use for a profile: the directory of all profiles.

    The one table that is unique without a profile id: it is what finds the profile id.
    """

    class Kind(models.TextChoices):
        USER = "user", "user id"
        ANONYMOUS = "anonymous", "anonymous id"

    kind = models.CharField(max_length=10, choices=Kind.choices)
    value = models.CharField(max_length=255)
    profile = models.ForeignKey(Profile, models.CASCADE, related_name="identities")
    # Which user first used this anonymous id, by corrected time: the earliest claim owns it,
    # whatever the order of arrival.
    claimed_by = models.CharField(max_length=255, blank=True)
    claimed_ms = models.BigIntegerField(null=True, blank=True)
    claimed_message_id = models.CharField(max_length=100, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name_plural = "identities"
        constraints = [
            models.UniqueConstraint(fields=["kind", "value"], name="identity_kind_value")
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.value}"


class Merge(models.Model):
    """Append-only: `loser` became part of `winner` because `reason`."""

    winner_id = models.BigIntegerField(db_index=True)
    loser_id = models.BigIntegerField(db_index=True)
    reason = models.CharField(max_length=200)
    merged_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return f"{self.loser_id} → {self.winner_id}"


class Erasure(models.Model):
    """The journal of erasures: the profile's number and nothing about the person.

    The columnar history and the builds leave these numbers out.
    """

    profile_id = models.BigIntegerField(unique=True)
    requested_at = models.DateTimeField(auto_now_add=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"erasure of {self.profile_id}"
