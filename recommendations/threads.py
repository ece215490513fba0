"""How many cores a build may take, whichever library counts for it."""

from collections.abc import Iterator
from contextlib import contextmanager

from threadpoolctl import threadpool_limits


@contextmanager
def bounded(threads: int) -> Iterator[None]:
    """Linear algebra (OpenBLAS, MKL, BLIS) and OpenMP on so many threads; as before afterwards.

    They read the environment at their first use only, and without a word in it they take every
    core there is. Our own compiled loops run on the threads they are given and start none.
    """
    with threadpool_limits(limits=threads):
        yield
