"""manage.py resume_sending: this database counts, and sending may go on."""

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from delivery import installation
from delivery.models import Halt
from engage.lib import clock


class Command(BaseCommand):
    help = "Let sending go on after a halt, such as that of a database restored from a backup."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--yes", action="store_true", help="do not ask")

    def handle(self, *args: Any, yes: bool, **options: Any) -> None:
        halt = Halt.objects.first()
        if halt is None:
            self.stdout.write("Sending does not stand still.")
            return
        self.stdout.write(f"Sending stands still since {halt.since:%Y-%m-%d %H:%M} UTC: {halt}.")
        self.stdout.write("What is planned in this database will go out, even if it did before.")
        if not yes and input("Let it go on? Type yes: ").strip().lower() != "yes":
            self.stdout.write("Nothing was changed.")
            return
        installation.resume(now=clock.now())
        self.stdout.write("Sending goes on.")
