from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False  # built beside the writers
    dependencies = [("catalog", "0003_catalog_purged_version")]
    operations = [
        AddIndexConcurrently(
            "product",
            models.Index(
                "catalog",
                models.F("first_seen").desc(),
                name="product_newest",
                condition=models.Q(deleted_at=None),
            ),
        )
    ]
