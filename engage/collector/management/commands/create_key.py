from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from engage.collector import access
from engage.lib.errors import EngageError


class Command(BaseCommand):
    help = "Make a key and print it, once; nothing else goes to standard output."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", help="the app, site or server that will use it")
        parser.add_argument(
            "--kind",
            choices=sorted(access.PREFIX),
            default="write",
            help="write: public, for apps and sites; server: secret, for the management API",
        )

    def handle(self, *args: Any, name: str, kind: str, **options: Any) -> None:
        try:
            self.stdout.write(access.create_key(name, kind=kind))
        except EngageError as exc:
            raise CommandError(exc.message) from exc
