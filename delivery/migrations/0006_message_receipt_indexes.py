from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models

TO_ADDRESSES = models.Q(channel__in=["email", "sms"])
INDEXES = [
    models.Index(fields=["key"], name="message_key", condition=TO_ADDRESSES),
    models.Index(
        fields=["provider_id"],
        name="message_provider",
        condition=TO_ADDRESSES & ~models.Q(provider_id=""),
    ),
    models.Index(
        fields=["address_digest"], name="message_number", condition=models.Q(channel="sms")
    ),
]


class Migration(migrations.Migration):
    atomic = False  # built beside the writers
    dependencies = [("delivery", "0005_receipts")]
    operations = [AddIndexConcurrently("message", index) for index in INDEXES]
