from argparse import ArgumentParser
from pathlib import Path
from typing import Any, Final

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from delivery.channels import dkim
from delivery.errors import ChannelNotConfigured
from delivery.key_files import make_if_missing

TEXT_LETTERS: Final = 255  # of one text in the DNS; a record may have several


class Command(BaseCommand):
    help = (
        "Make the key that signs mail by DKIM, unless the file is there, and print the record that"
        " the DNS must hold."
    )
    requires_system_checks = ()  # they would miss the file that is made here

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path, help="for ENGAGE_DKIM_KEY_FILE")

    def handle(self, *args: Any, file: Path, **options: Any) -> None:
        """Safe to run twice: a key that is there stays."""
        try:
            # As mail is signed, not as they were typed: the DNS must hold the same.
            selector = dkim.read_selector() if settings.DKIM_SELECTOR else "SELECTOR"
            domain = dkim.read_domain() or "DOMAIN"
        except ChannelNotConfigured as exc:
            raise CommandError(exc.message) from exc
        try:
            make_if_missing(file, dkim.make_key)
            record = dkim.make_record(dkim.read_key(str(file)))
        except (OSError, ValueError) as exc:
            raise CommandError(f"{file} cannot be used: {exc}") from exc
        texts = [record[i : i + TEXT_LETTERS] for i in range(0, len(record), TEXT_LETTERS)]
        quoted = " ".join(f'"{text}"' for text in texts)
        self.stdout.write(f"{selector}._domainkey.{domain}. IN TXT {quoted}")
