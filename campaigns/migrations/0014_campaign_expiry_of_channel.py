from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("campaigns", "0013_compiled_mail")]
    operations = [
        migrations.AlterField(
            "campaign", "expires_after", models.DurationField(blank=True, null=True)
        ),
    ]
