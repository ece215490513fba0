"""Bulkheads: each kind of work gets so many of a server's processes at once, and no more.

Opened before the server forks, entered by its processes. A place is a lock of the kernel on one
byte of a file without a name: it goes with the process that holds it, however that ends, and there
is nothing to clean up.
"""

import fcntl
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager


class Bulkheads:
    """`places` for each of the kinds. Among processes; threads of one share what it holds."""

    def __init__(self, kinds: Sequence[str], *, places: int) -> None:
        self.first = {kind: number * places for number, kind in enumerate(kinds)}
        self.places = places
        self.file = tempfile.TemporaryFile()  # noqa: SIM115 - open as long as we are

    @contextmanager
    def enter(self, kind: str) -> Iterator[bool]:
        """Whether there was a place; it is free again after the block. Never waits."""
        place = self._take(kind)
        try:
            yield place is not None
        finally:
            if place is not None:
                fcntl.lockf(self.file, fcntl.LOCK_UN, 1, place)

    def _take(self, kind: str) -> int | None:
        first = self.first[kind]
        for place in range(first, first + self.places):
            try:
                fcntl.lockf(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, place)
            except (BlockingIOError, PermissionError):  # the two ways to say that it is taken
                continue
            return place
        return None


_opened: Bulkheads | None = None


def open_for(kinds: Sequence[str], *, places: int) -> None:
    """For this process and those it will fork."""
    global _opened
    _opened = Bulkheads(kinds, places=places)


@contextmanager
def enter(kind: str) -> Iterator[bool]:
    """A place in what was opened for this process; where nothing was, there is always one."""
    if _opened is None:
        yield True
        return
    with _opened.enter(kind) as entered:
        yield entered
