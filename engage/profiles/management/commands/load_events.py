"""Load past events from a file."""

import time
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from engage.lib import clock, progress
from engage.lib.errors import InvalidInput
from engage.lib.processes import peak_memory_mb
from engage.profiles import load


class Command(BaseCommand):
    help = (
        "Load past events from CSV, TSV or JSON lines (plain or .gz): user, item, event, ts and"
        " optional order, quantity, price, anonymous, message_id; further columns are kept as"
        " properties. Never triggers messages. Safe to run twice within ENGAGE_DEDUPE_DAYS."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument(
            "--map", action="append", default=[], metavar="THEIRS=OURS", help="rename a column"
        )
        parser.add_argument(
            "--source",
            default="load_events",
            help="tells equal rows of different shops apart (default: %(default)s)",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        start = time.monotonic()
        try:
            title = f"Loading events from {options['file'].name}"
            with progress.shown(title, permission="engage.view_eventrow") as tell:
                report = load.load_events(
                    options["file"],
                    renamed=dict(parse_rename(each) for each in options["map"]),
                    source=options["source"],
                    now=clock.now(),
                    progress=tell,
                )
        except InvalidInput as exc:
            raise CommandError(exc.message) from exc
        for refusal in report.reasons:
            self.stderr.write(f"line {refusal.line}: {refusal.reason}")
        if report.refused > len(report.reasons):
            self.stderr.write(f"… and {report.refused - len(report.reasons):,} more")
        self.stdout.write(
            f"{report.rows:,} rows: {report.stored:,} stored, {report.duplicates:,} duplicates,"
            f" {report.refused:,} refused, in {time.monotonic() - start:.1f} s"
            f" with {peak_memory_mb():,.0f} MB of memory"
        )


def parse_rename(argument: str) -> tuple[str, str]:
    theirs, equals, ours = argument.partition("=")
    if not (theirs and equals and ours):
        raise CommandError(f"--map {argument}: expected THEIRS=OURS, as in --map sku=item")
    return theirs, ours
