"""Templates keep what the body of a mail is compiled into.

What is there already is left as it is: a mail whose template keeps nothing is compiled when it is
first rendered, as before, and kept from the next time that the template is saved. The defaults
stand in the database too, for the version before, which goes on saving templates meanwhile.
"""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("campaigns", "0012_triggers")]
    operations = [
        migrations.AddField(
            "template", "compiled_html", models.TextField(blank=True, default="", db_default="")
        ),
        migrations.AddField(
            "template", "compiled_text", models.TextField(blank=True, default="", db_default="")
        ),
        migrations.AddField(
            "template", "compiled_from", models.TextField(blank=True, default="", db_default="")
        ),
        migrations.AddField(
            "template",
            "compiled_by",
            models.CharField(max_length=100, blank=True, default="", db_default=""),
        ),
    ]
