from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False  # built beside the writers
    dependencies = [("delivery", "0013_message_run_ended")]
    operations = [
        migrations.AddField("interaction", "untold_link", models.UUIDField(null=True)),
        AddIndexConcurrently(
            "interaction",
            models.Index(
                fields=["ts"],
                name="interaction_untold",
                condition=models.Q(("untold_link__isnull", False)),
            ),
        ),
    ]
