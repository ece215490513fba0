"""The embedded PostgreSQL and Redis."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def embedded_servers(data_dir: Path) -> Iterator[None]:
    yield


@contextmanager
def servers_for_command(arguments: Sequence[str]) -> Iterator[None]:
    yield
