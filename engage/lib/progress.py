"""A bar on the terminal for commands that take long; nothing where nobody watches."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from engage.lib import under_way

WIDTH = 30  # letters of a full bar
STEP = 28  # letters for what is done just now


@contextmanager
def shown(title: str, *, permission: str) -> Iterator[under_way.Tell]:
    """A bar here, and one in the admin for those who have the permission."""
    with under_way.telling(title, permission=permission) as told:

        def tell(share: float, step: str = "", /) -> None:
            show(share, step)
            told(share, step)

        try:
            yield tell
        finally:
            clear()


def show(share: float, step: str = "") -> None:
    """Draw how much is done, from 0 to 1, over what was drawn before; on standard error."""
    if sys.stderr.isatty():
        filled = round(min(max(share, 0.0), 1.0) * WIDTH)
        bar = "█" * filled + "·" * (WIDTH - filled)
        sys.stderr.write(f"\r[{bar}] {share:4.0%} {step[:STEP]:<{STEP}}")
        sys.stderr.flush()


def clear() -> None:
    """Take the bar away, so that what comes next has the line to itself."""
    if sys.stderr.isatty():
        sys.stderr.write("\r\x1b[K")
        sys.stderr.flush()
