import django.core.validators
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("catalog", "0001_initial")]

    operations = [
        migrations.AlterField(
            model_name="catalog",
            name="name",
            field=models.CharField(
                max_length=50,
                unique=True,
                validators=[
                    django.core.validators.RegexValidator(
                        r"^[a-z0-9][a-z0-9_-]*\Z", "Use a-z, 0-9, - and _ only."
                    )
                ],
            ),
        ),
    ]
