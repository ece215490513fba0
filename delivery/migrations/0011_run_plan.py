from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("delivery", "0010_message_other_channel")]
    operations = [
        migrations.CreateModel(
            name="RunPlan",
            fields=[
                ("run_id", models.BigIntegerField(primary_key=True, serialize=False)),
                ("channel", models.CharField(max_length=20)),
                ("topic", models.CharField(blank=True, max_length=100)),
                ("priority", models.SmallIntegerField()),
                ("reached", models.BigIntegerField(default=0)),
                ("began_at", models.DateTimeField()),
            ],
        ),
    ]
