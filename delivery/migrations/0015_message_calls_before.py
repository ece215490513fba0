from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("delivery", "0014_untold_click")]
    operations = [
        migrations.AddField(
            "message", "calls_before", models.SmallIntegerField(db_default=0, default=0)
        ),
    ]
