import django.contrib.postgres.fields
from django.db import migrations, models

SCHEDULES = [
    ("now", "When launched"), ("at", "Once, at a time"), ("recurring", "Again and again"),
    ("launch", "When the app opens"), ("api", "When your server asks"),
]


class Migration(migrations.Migration):
    dependencies = [("campaigns", "0009_inbox_channel")]
    operations = [
        migrations.AlterField(
            "campaign",
            "schedule",
            models.CharField(choices=SCHEDULES, default="now", max_length=10),
        ),
        migrations.CreateModel(
            "ServerSend",
            [
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "profile_id", "id", blank=True, editable=False, primary_key=True,
                        serialize=False,
                    ),
                ),
                ("profile_id", models.BigIntegerField()),
                ("id", models.UUIDField()),
                (
                    "message_ids",
                    django.contrib.postgres.fields.ArrayField(models.UUIDField(), size=None),
                ),
                ("properties", models.JSONField()),
                ("created_at", models.DateTimeField()),
                ("kept_until", models.DateTimeField()),
            ],
            {"indexes": [models.Index(fields=["kept_until"], name="server_send_kept")]},
        ),
    ]
