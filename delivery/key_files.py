"""Private keys in files of their owner, made by commands."""

import os
from collections.abc import Callable
from pathlib import Path


def make_if_missing(file: Path, make: Callable[[], bytes]) -> None:
    """For its owner alone, and never over another. Raises OSError."""
    if not file.exists():
        pem = make()
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as writer:
            writer.write(pem)
