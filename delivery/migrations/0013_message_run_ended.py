from django.contrib.postgres.operations import AddIndexConcurrently, RemoveIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False  # built beside the writers
    dependencies = [("delivery", "0012_occasion")]
    operations = [
        AddIndexConcurrently(
            "message",
            models.Index(fields=["run_id", "state", "finished_at"], name="message_run_ended"),
        ),
        RemoveIndexConcurrently("message", "message_run_state"),
    ]
