"""Who may send, and what could not be stored."""

from django.db import models


class Source(models.Model):
    """Where events come from: an app, a site, a server. Its keys can be rotated."""

    name = models.CharField(max_length=100, unique=True)
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return self.name


class SdkKey(models.Model):
    """A key of a source, stored as a digest; the key itself is shown once.

    A write key is public (it is inside apps): it may send events and pull its own in-app messages.
    A server key is secret.
    """

    class Kind(models.TextChoices):
        WRITE = "write", "write key"
        SERVER = "server", "server key"

    source = models.ForeignKey(Source, models.CASCADE, related_name="keys")
    kind = models.CharField(max_length=6, choices=Kind.choices)
    digest = models.CharField(max_length=64, unique=True)  # SHA-256: the key has 190 random bits
    hint = models.CharField(max_length=12)  # its first letters, to recognise it
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(null=True, blank=True)  # rotation: the old one lives a while
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = "SDK key"

    def __str__(self) -> str:
        return f"{self.hint}… of {self.source}"


class Quarantined(models.Model):
    """An acknowledged event, or a whole entry, that could not be stored after several tries."""

    entry_id = models.CharField(max_length=40)  # of the stream
    source_id = models.IntegerField()
    received_at = models.DateTimeField()
    form = models.CharField(max_length=40)  # format and kind: "segment/batch"
    seed = models.CharField(max_length=32, blank=True)  # of the message ids that the body lacks
    body = models.BinaryField()
    error = models.TextField()
    created_at = models.DateTimeField(auto_now_add=True)
    replayed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = "quarantined event"

    def __str__(self) -> str:
        return self.entry_id
