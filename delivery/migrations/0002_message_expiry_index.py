from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False  # built beside the writers
    dependencies = [("delivery", "0001_initial")]
    operations = [
        AddIndexConcurrently(
            "message",
            models.Index(
                fields=["expires_at"],
                name="message_expiring",
                condition=models.Q(state="planned"),
            ),
        )
    ]
