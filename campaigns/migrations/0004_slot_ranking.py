from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import migrations, models

MOST = [MaxValueValidator(100)]
COUNT = models.PositiveSmallIntegerField


class Migration(migrations.Migration):
    dependencies = [("campaigns", "0003_run_rule")]
    operations = [
        migrations.AddField("slot", "without_cart", models.BooleanField(default=True)),
        migrations.AddField("slot", "without_trigger", models.BooleanField(default=True)),
        migrations.AddField("slot", "variety", COUNT(default=0, validators=MOST)),
        migrations.AddField("slot", "caps", models.JSONField(blank=True, default=dict)),
        migrations.AddField("slot", "boosts", models.JSONField(blank=True, default=list)),
        migrations.AddField("slot", "pins", models.JSONField(blank=True, default=list)),
        migrations.AddField("slot", "damp_after", COUNT(default=0, validators=MOST)),
        migrations.AddField("slot", "block_after", COUNT(default=0, validators=MOST)),
        migrations.AddField(
            "slot",
            "rest_days",
            COUNT(default=14, validators=[MinValueValidator(1), MaxValueValidator(90)]),
        ),
    ]
