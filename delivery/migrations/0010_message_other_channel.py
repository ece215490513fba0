from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("delivery", "0009_message_returned")]
    operations = [
        migrations.AlterField(
            "message",
            "quiet",
            models.CharField(
                choices=[
                    ("hold", "wait until they are over"),
                    ("drop", "do not send it"),
                    ("ignore", "send it all the same"),
                    ("inbox", "put it into the inbox"),
                    ("email", "send an e-mail instead"),
                ],
                db_default="hold",
                default="hold",
                max_length=6,
            ),
        ),
    ]
