from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from django.core.management.base import BaseCommand, CommandError

from delivery.channels import es256
from delivery.key_files import make_if_missing


class Command(BaseCommand):
    help = (
        "Make the key that signs web pushes, unless the file is there, and print its public half:"
        " the applicationServerKey of the pages. Subscriptions are bound to it."
    )
    requires_system_checks = ()  # they would miss the file that is made here

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path, help="for ENGAGE_VAPID_KEY_FILE")

    def handle(self, *args: Any, file: Path, **options: Any) -> None:
        """Safe to run twice: a key that is there stays."""
        try:
            make_if_missing(file, lambda: es256.to_pem(ec.generate_private_key(ec.SECP256R1())))
            key = es256.read_key(str(file))
        except (OSError, ValueError) as exc:
            raise CommandError(f"{file} cannot be used: {exc}") from exc
        self.stdout.write(es256.to_base64(es256.public_bytes(key)))
