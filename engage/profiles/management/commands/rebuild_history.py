"""Write the columnar history anew from the stored events."""

from typing import Any

from django.core.management.base import BaseCommand

from engage.profiles import history


class Command(BaseCommand):
    help = "Write the columnar history anew from the stored events, after a restore for example."

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.write(f"{history.rebuild():,} rows")
