from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("delivery", "0007_inbox_message")]
    operations = [
        migrations.AddField(
            "message", "returned", models.SmallIntegerField(db_default=0, default=0)
        ),
        migrations.AddIndex(
            "message",
            models.Index(
                fields=["channel", "returned"],
                name="message_returned",
                condition=models.Q(("returned__gt", 0), ("state", "planned")),
            ),
        ),
    ]
