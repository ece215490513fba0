"""`manage.py up`: everything in one terminal."""

from contextlib import closing
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError, connection

from engage.checks import list_messages
from engage.lib.errors import EngageError
from engage.runner import output
from engage.runner.errors import StartFailed
from engage.runner.servers import database_trouble
from engage.runner.supervisor import Supervisor

MIGRATION_LOCK = 0x456E67616765  # several hosts may start on one database at once


class Command(BaseCommand):
    help = "Runs everything: web, ingest, workers, beat, and PostgreSQL and Redis unless set."
    requires_system_checks = []

    def handle(self, *args: Any, **options: Any) -> None:
        supervisor = Supervisor(
            data_dir=settings.DATA_DIR, host=settings.HOST, wanted_port=settings.PORT
        )
        try:
            supervisor.run(prepare=prepare)
        except EngageError as exc:
            raise CommandError(exc.message) from exc


def prepare() -> None:
    """With the stores running, before anything else."""
    problems = list_messages()
    for problem in problems:
        output.say(f"{problem.msg} {problem.hint}")
    if any(problem.is_serious() for problem in problems):
        raise StartFailed("Engage does not start with this; see above.")
    try:
        migrate()
    except DatabaseError as exc:
        raise StartFailed(database_trouble(exc)) from exc


def migrate() -> None:
    with closing(connection):
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_lock(%s)", [MIGRATION_LOCK])
        call_command("migrate", interactive=False, verbosity=0)
