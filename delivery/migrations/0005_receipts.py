from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("delivery", "0004_webhook_endpoint")]
    operations = [
        migrations.AddField("message", "address_digest", models.UUIDField(null=True)),
        migrations.AlterField(
            "interaction",
            "kind",
            models.CharField(max_length=12, choices=[("impression", "Impression"), ("open", "Open"), ("click", "Click"), ("dismiss", "Dismiss"), ("unsubscribe", "Unsubscribe"), ("trap", "Trap")]),
        ),
        migrations.CreateModel(
            name="Topic",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.CharField(max_length=100, unique=True)),
                ("title", models.CharField(max_length=100)),
            ],
            options={"ordering": ("title",)},
        ),
    ]
