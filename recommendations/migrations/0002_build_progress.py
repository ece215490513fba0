from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("recommendations", "0001_initial")]

    operations = [
        migrations.AddField(
            model_name="build",
            name="progress",
            field=models.JSONField(default=dict),
        ),
    ]
