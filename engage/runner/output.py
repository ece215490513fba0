"""What the children say, line by line, each with the name of who said it."""

import os
import sys
import threading
from contextlib import suppress

COLOURS = {
    "postgres": 34,
    "redis": 31,
    "web": 32,
    "ingest": 36,
    "worker": 35,
    "sender": 95,
    "builder": 33,
    "beat": 94,
}
WIDTH = max(map(len, COLOURS))
LONGEST_LINE = 65_536  # bytes; a child that never ends its line is cut here
_whole_lines = threading.Lock()


def say(words: str, *, name: str = "engage") -> None:
    """One line for people; a terminal that is gone stops nothing."""
    with _whole_lines, suppress(OSError, ValueError):
        sys.stdout.write(f"{prefix(name)}{words}\n")
        sys.stdout.flush()


def prefix(name: str) -> str:
    column = f"{name:<{WIDTH}} | "
    if not sys.stdout.isatty() or os.environ.get("NO_COLOR"):
        return column
    return f"\x1b[{COLOURS.get(name, 1)}m{column}\x1b[0m"


def pump(name: str) -> int:
    """The end of a new pipe for a child to write to; a thread repeats what comes out of it."""
    theirs_to_read, to_write = os.pipe()
    threading.Thread(
        target=repeat, args=(name, theirs_to_read), name=f"output of {name}", daemon=True
    ).start()
    return to_write


def repeat(name: str, descriptor: int) -> None:
    with os.fdopen(descriptor, "rb") as lines:
        while line := lines.readline(LONGEST_LINE):
            say(line.decode(errors="replace").rstrip("\n"), name=name)
