from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False  # built beside the writers
    dependencies = [("delivery", "0015_message_calls_before")]
    operations = [
        AddIndexConcurrently(
            "message",
            models.Index(
                fields=["address_digest", "finished_at"],
                name="message_receiver",
                condition=models.Q(("channel", "webhook"), ("state", "accepted")),
            ),
        ),
    ]
