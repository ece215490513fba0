"""`manage.py up`: a supervisor over everything, and what must be true before it serves."""

import os
from concurrent.futures import Future
from contextlib import closing
from threading import Thread

import django
from django.conf import settings

from engage.lib.errors import EngageError
from engage.runner import output
from engage.runner.errors import StartFailed
from engage.runner.servers import database_trouble
from engage.runner.supervisor import Supervisor

MIGRATION_LOCK = 0x456E67616765  # several hosts may start on one database at once


def main() -> None:
    """Run until somebody asks to stop; Django is loaded while the servers start."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "engage.settings")
    supervisor = Supervisor(
        data_dir=settings.DATA_DIR, host=settings.HOST, wanted_port=settings.PORT
    )
    loaded: Future[None] = Future()
    Thread(target=load_django, args=(loaded,), daemon=True).start()  # a stop does not wait for it
    try:
        supervisor.run(prepare=lambda: prepare(loaded))
    except EngageError as exc:
        raise SystemExit(f"engage: {exc.message}") from exc


def load_django(loaded: "Future[None]") -> None:
    """Without the pages of the admin, which nobody opens here: they are half of the time."""
    pages = {"django.contrib.admin": "django.contrib.admin.apps.SimpleAdminConfig"}
    settings.INSTALLED_APPS = [pages.get(name, name) for name in settings.INSTALLED_APPS]
    try:
        django.setup()
    except BaseException as exc:
        loaded.set_exception(exc)  # told where the result is wanted
    else:
        loaded.set_result(None)


def prepare(loaded: "Future[None]") -> None:
    """With the stores running, before anything is served."""
    loaded.result()
    from engage.checks import list_messages

    problems = list_messages()
    for problem in problems:
        output.say(f"{problem.msg} {problem.hint or ''}".rstrip())
    if any(problem.is_serious() for problem in problems):
        raise StartFailed("Engage does not start with this; see above.")
    migrate()


def migrate() -> None:
    """Raises StartFailed when PostgreSQL is away or refuses us."""
    from django.core.management import call_command
    from django.db import DatabaseError, connection

    try:
        with closing(connection):
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_lock(%s)", [MIGRATION_LOCK])
            call_command("migrate", interactive=False, verbosity=0)
    except DatabaseError as exc:
        raise StartFailed(database_trouble(exc)) from exc
