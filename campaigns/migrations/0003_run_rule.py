from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("campaigns", "0002_segment_functions")]
    operations = [migrations.AddField("run", "rule", models.JSONField(null=True))]
