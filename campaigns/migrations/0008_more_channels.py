from django.db import migrations, models
from django.db.models.deletion import PROTECT

CHANNELS = [
    ("email", "E-mail"), ("push", "Push"), ("web_push", "Web push"), ("sms", "SMS"),
    ("webhook", "Webhook"), ("in_app", "In-app"),
]


class Migration(migrations.Migration):
    dependencies = [("campaigns", "0007_pace"), ("delivery", "0004_webhook_endpoint")]
    operations = [
        migrations.AddField(
            "campaign",
            "endpoint",
            models.ForeignKey(
                blank=True, null=True, on_delete=PROTECT, related_name="campaigns",
                to="delivery.webhookendpoint",
            ),
        ),
        migrations.AlterField(
            "campaign", "channel", models.CharField(choices=CHANNELS, max_length=10)
        ),
        migrations.AlterField(
            "template", "channel", models.CharField(choices=CHANNELS, max_length=10)
        ),
    ]
