from argparse import ArgumentParser
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any, BinaryIO

from django.core.management.base import BaseCommand, CommandError

from catalog import summary, uploads
from catalog.errors import TooManyRemoved, UploadRefused
from catalog.models import Upload
from catalog.values import printable
from engage.lib import clock, progress
from engage.lib.arguments import text
from engage.lib.errors import EngageError

PERMISSION = "catalog.view_upload"
LONGEST_LINE = 1_000  # on the terminal; a name may have line breaks and control characters


class Command(BaseCommand):
    help = (
        "Load products from a CSV, TSV or JSON lines file, plain or .gz, after showing the diff."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument("--catalog", type=text, default="default", metavar="NAME")
        parser.add_argument("--dry-run", action="store_true", help="show the diff, change nothing")
        parser.add_argument(
            "--allow-removals",
            action="store_true",
            help=f"go on where more than {uploads.MOST_REMOVED:.0%} of the products would vanish",
        )
        parser.add_argument(
            "--column",
            action="append",
            default=[],
            metavar="NAME=TYPE",
            help="the type of an own column: text, number, boolean, time or list; may be repeated",
        )

    def handle(self, *args: Any, file: Path, **options: Any) -> None:
        try:
            with file.open("rb") as opened:
                self.load(opened, file.name, **options)
        except OSError as exc:
            raise CommandError(f"{file}: {exc.strerror or exc}") from exc
        except EngageError as exc:
            raise CommandError(f"{exc.message} Nothing was changed.") from exc

    def load(self, file: BinaryIO, file_name: str, **options: Any) -> None:
        dry = options["dry_run"]
        with uploads.rehearsal() if dry else nullcontext():
            upload = self.stage(file, file_name, **options)
            for line in summary.lines(upload.report):
                self.stdout.write(printable(line, longest=LONGEST_LINE))
            go_on = uploads.check if dry else self.apply
            try:
                go_on(upload, allow_removals=options["allow_removals"])
            except TooManyRemoved as exc:
                message = f"{exc.message} If it is, add --allow-removals."
                raise TooManyRemoved(message) from exc
        if dry:
            self.stdout.write("Dry run: nothing was changed.")

    def stage(self, file: BinaryIO, file_name: str, **options: Any) -> Upload:
        title = f"Reading {printable(file_name, longest=LONGEST_LINE)}"
        with progress.shown(title, permission=PERMISSION) as tell:
            return uploads.stage(
                file,
                file_name=file_name,
                catalog=options["catalog"],
                now=clock.now(),
                types=read_types(options["column"]),
                progress=tell,
            )

    def apply(self, upload: Upload, *, allow_removals: bool) -> None:
        try:
            done = uploads.apply(upload, now=clock.now(), allow_removals=allow_removals)
        except UploadRefused as exc:
            with suppress(UploadRefused):  # somebody applied or discarded it on a screen
                uploads.discard(upload, now=clock.now(), problem=exc.message)
            raise
        if done.report["dropped"]:
            dropped = printable(", ".join(done.report["dropped"]), longest=LONGEST_LINE)
            self.stdout.write(f"Columns that no product has a value in, dropped: {dropped}")
        name, version = upload.catalog.name, done.report["version"]
        self.stdout.write(self.style.SUCCESS(f"Catalog “{name}” is at version {version}."))


def read_types(pairs: list[str]) -> dict[str, str]:
    types = {}
    for pair in pairs:
        name, separator, kind = pair.rpartition("=")
        if not separator or not name:
            raise CommandError(f"--column {pair}: expected NAME=TYPE, such as size=text")
        types[name] = kind
    return types
