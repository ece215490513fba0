"""Python's collector of reference cycles, and when it would only be in the way."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def not_collected() -> Iterator[None]:
    """No collection of cycles inside: for work that makes many objects and drops them at its end.

    They are all alive until then, so the collector would look through them, and through the whole
    process, again and again and find nothing. It is one for all threads: where two do this at
    once, the first to end has it collect again.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
