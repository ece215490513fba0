import os
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from django.core.management.base import BaseCommand, CommandError

from delivery.channels import es256


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
            if not file.exists():
                write_key(file, es256.to_pem(ec.generate_private_key(ec.SECP256R1())))
            key = es256.read_key(str(file))
        except (OSError, ValueError) as exc:
            raise CommandError(f"{file} cannot be used: {exc}") from exc
        self.stdout.write(es256.to_base64(es256.public_bytes(key)))


def write_key(file: Path, pem: bytes) -> None:
    """For its owner alone, and never over another."""
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as writer:
        writer.write(pem)
