from django.db import migrations, models

CHANNELS = [
    ("email", "E-mail"), ("push", "Push"), ("web_push", "Web push"), ("sms", "SMS"),
    ("webhook", "Webhook"), ("in_app", "In-app"), ("inbox", "Inbox"),
]


class Migration(migrations.Migration):
    dependencies = [("campaigns", "0008_more_channels")]
    operations = [
        migrations.AlterField(
            "campaign", "channel", models.CharField(choices=CHANNELS, max_length=10)
        ),
        migrations.AlterField(
            "template", "channel", models.CharField(choices=CHANNELS, max_length=10)
        ),
    ]
