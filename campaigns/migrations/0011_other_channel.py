import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("campaigns", "0010_server_sends")]
    operations = [
        migrations.AlterField(
            "campaign",
            "quiet",
            models.CharField(
                choices=[
                    ("hold", "Wait until they are over"),
                    ("drop", "Do not send it"),
                    ("ignore", "Send it all the same"),
                    ("inbox", "Put it into the inbox"),
                    ("email", "Send an e-mail instead"),
                ],
                default="hold",
                max_length=6,
            ),
        ),
        migrations.AddField(
            "campaign",
            "quiet_template",
            models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="campaigns_at_night",
                to="campaigns.template",
            ),
        ),
    ]
