"""`manage.py up`: everything in one terminal."""

from typing import Any

from django.core.management.base import BaseCommand

from engage.runner import up


class Command(BaseCommand):
    help = "Runs everything: web, ingest, workers, beat, and PostgreSQL and Redis unless set."
    requires_system_checks = []

    def handle(self, *args: Any, **options: Any) -> None:
        up.main()
