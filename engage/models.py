"""Read-only views of tables whose composite keys the admin cannot register.

Each stands over the table of a room, with one column declared as the key; the pages find a row by
all columns of the real key, see `engage.lib.admin.Ledger`.
"""

from django.db import models

from delivery.models import Interaction, Message
from engage.profiles.models import Consent

# Filters offer these; without choices each list would ask the whole table for its values.
CHANNELS = [
    ("email", "e-mail"),
    ("push", "push"),
    ("web_push", "web push"),
    ("sms", "SMS"),
    ("webhook", "webhook"),
    ("in_app", "in-app"),
    ("inbox", "inbox"),
]
EVENT_KINDS = [(kind, kind) for kind in ("track", "identify", "page", "screen", "group", "alias")]
MESSAGE_KINDS = [("campaign", "campaign"), ("test", "test"), ("in_app", "in-app")]
PLATFORMS = [("ios", "iOS"), ("android", "Android"), ("web", "web")]


class EventRow(models.Model):
    id = models.UUIDField(primary_key=True)
    profile_id = models.BigIntegerField("person")
    ts = models.DateTimeField("time")
    source_id = models.IntegerField("source")
    message_id = models.CharField(max_length=100)
    kind = models.CharField(max_length=10, choices=EVENT_KINDS)
    name = models.CharField("event", max_length=200)
    user_id = models.CharField(max_length=255)
    anonymous_id = models.CharField(max_length=255)
    properties = models.JSONField()
    context = models.JSONField()
    received_at = models.DateTimeField()

    class Meta:
        managed = False
        db_table = "profiles_event"
        verbose_name = "event"

    def __str__(self) -> str:
        return f"{self.name} {self.ts:%Y-%m-%d %H:%M:%S}"


class DeviceRow(models.Model):
    device_id = models.CharField("device", max_length=255, primary_key=True)
    profile_id = models.BigIntegerField("person")
    platform = models.CharField(max_length=20, choices=PLATFORMS)
    token = models.TextField()
    model = models.CharField(max_length=100)
    os_version = models.CharField("system version", max_length=50)
    app_version = models.CharField(max_length=50)
    last_seen = models.DateTimeField()
    gone_at = models.DateTimeField(null=True)

    class Meta:
        managed = False
        db_table = "profiles_device"
        verbose_name = "device"

    def __str__(self) -> str:
        return f"device {self.device_id}"


class ConsentRow(models.Model):
    profile_id = models.BigIntegerField("person", primary_key=True)
    channel = models.CharField(max_length=20, choices=CHANNELS)
    topic = models.CharField(max_length=100)
    status = models.CharField(max_length=10, choices=Consent.Status.choices)
    stated_ms = models.BigIntegerField()
    source = models.CharField("said through", max_length=100)

    class Meta:
        managed = False
        db_table = "profiles_consent"
        verbose_name = "consent"

    def __str__(self) -> str:
        return f"{self.channel} {self.status}"


class MessageRow(models.Model):
    id = models.UUIDField(primary_key=True)
    profile_id = models.BigIntegerField("person")
    kind = models.CharField(max_length=20, choices=MESSAGE_KINDS)
    campaign_id = models.BigIntegerField("campaign")
    run_id = models.BigIntegerField("run", null=True)
    variant_id = models.BigIntegerField("variant")
    channel = models.CharField(max_length=20, choices=CHANNELS)
    state = models.CharField(max_length=10, choices=Message.State.choices)
    reason = models.CharField(max_length=100)
    not_before = models.DateTimeField()
    expires_at = models.DateTimeField()
    attempt = models.SmallIntegerField("attempts")
    provider_id = models.CharField("provider's number", max_length=255)
    items = models.JSONField("products shown")
    created_at = models.DateTimeField("planned at")
    finished_at = models.DateTimeField(null=True)

    class Meta:
        managed = False
        db_table = "delivery_message"
        verbose_name = "message"

    def __str__(self) -> str:
        return f"message {self.id}"


class InteractionRow(models.Model):
    id = models.UUIDField(primary_key=True)
    profile_id = models.BigIntegerField("person")
    message_id = models.UUIDField("message")
    campaign_id = models.BigIntegerField("campaign")
    run_id = models.BigIntegerField("run", null=True)
    channel = models.CharField(max_length=20, choices=CHANNELS)
    kind = models.CharField(max_length=12, choices=Interaction.Kind.choices)
    item_id = models.CharField("product", max_length=255)
    position = models.SmallIntegerField(null=True)
    machine = models.BooleanField("by a machine")
    ts = models.DateTimeField("time")

    class Meta:
        managed = False
        db_table = "delivery_interaction"
        verbose_name = "interaction"

    def __str__(self) -> str:
        return f"{self.kind} of {self.message_id}"
