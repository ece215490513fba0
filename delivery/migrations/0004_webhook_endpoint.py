from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("delivery", "0003_controls")]
    operations = [
        migrations.CreateModel(
            name="WebhookEndpoint",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.CharField(max_length=100, unique=True)),
                ("url", models.CharField(max_length=2000)),
                ("version", models.PositiveIntegerField(default=1, editable=False)),
                ("rotated_at", models.DateTimeField(editable=False, null=True)),
                ("disabled_at", models.DateTimeField(editable=False, null=True)),
                ("reason", models.CharField(blank=True, editable=False, max_length=100)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
            ],
            options={"permissions": [("view_secret", "Can see the secrets of webhook endpoints")]},
        )
    ]
