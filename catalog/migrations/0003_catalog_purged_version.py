from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("catalog", "0002_catalog_name_without_line_end")]

    operations = [
        migrations.AddField(
            model_name="catalog",
            name="purged_version",
            field=models.BigIntegerField(default=0),
        ),
    ]
