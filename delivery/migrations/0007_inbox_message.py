from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("delivery", "0006_message_receipt_indexes")]
    operations = [
        migrations.CreateModel(
            name="InboxMessage",
            fields=[
                ("pk", models.CompositePrimaryKey("profile_id", "id", blank=True, editable=False, primary_key=True, serialize=False)),
                ("profile_id", models.BigIntegerField()),
                ("id", models.UUIDField()),
                ("campaign_id", models.BigIntegerField()),
                ("content_type", models.CharField(blank=True, max_length=20)),
                ("content", models.JSONField()),
                ("token", models.TextField()),
                ("created_at", models.DateTimeField()),
                ("expires_at", models.DateTimeField()),
            ],
            options={"indexes": [models.Index(fields=["expires_at"], name="inbox_expiring")]},
        ),
    ]
