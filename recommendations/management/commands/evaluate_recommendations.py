import json
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from engage.lib import progress
from engage.lib.errors import EngageError
from engage.lib.processes import peak_memory_mb
from recommendations import threads
from recommendations.offline import evaluation, protocols
from recommendations.offline.files import read_table


class Command(BaseCommand):
    help = (
        "Measure recommendations on files alone, no database: learn from one, ask for the other. "
        "The last line is one JSON object. The columns of the files say what is asked: see "
        "docs/quality.md."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--train", type=Path, required=True, metavar="FILE")
        parser.add_argument("--test", type=Path, required=True, metavar="FILE")
        parser.add_argument(
            "--items", type=Path, metavar="FILE", help="item,title,… or item,attributes"
        )
        parser.add_argument(
            "--model", default=evaluation.AUTO, help="auto (the default), or one source by name"
        )
        parser.add_argument(
            "--repeats", choices=("yes", "no"), default="yes",
            help="calendar: may what was bought before be recommended? (default: yes)",
        )  # fmt: skip
        parser.add_argument("--protocol", default="", help="where the columns fit several")

    def handle(
        self,
        *args: Any,
        train: Path,
        test: Path,
        items: Path | None,
        model: str,
        repeats: str,
        protocol: str,
        **options: Any,
    ) -> None:
        try:
            progress.show(0.0, "reading")
            task = protocols.make_task(
                read_table(train),
                read_table(test),
                items=read_table(items) if items else None,
                repeats=repeats == "yes",
                name=protocol,
            )
            with threads.bounded(settings.BUILD_THREADS):
                found = evaluation.evaluate(task, model=model, tell=progress.show)
        except EngageError as exc:
            raise CommandError(exc.message) from exc
        finally:
            progress.clear()
        self.stdout.write(json.dumps(evaluation.as_json(found, peak_memory_mb=peak_memory_mb())))
