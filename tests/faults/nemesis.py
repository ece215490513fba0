"""Who breaks things: kills, stops, cuts, forgets."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.faults.harness import Installation


def kill(number: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(number, signal.SIGKILL)


def children_of(number: int) -> list[int]:
    found = []
    for place in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            # The name in brackets may hold spaces; the parent comes second after it.
            parent = int(place.read_text().rpartition(")")[2].split()[1])
            if parent == number:
                found.append(int(place.parent.name))
    return sorted(found)


@contextmanager
def stopped(number: int) -> Iterator[None]:
    """The program and what it forked stand still."""
    everybody = [number, *children_of(number)]
    for each in everybody:
        os.kill(each, signal.SIGSTOP)
    try:
        yield
    finally:
        for each in everybody:
            with suppress(ProcessLookupError):
                os.kill(each, signal.SIGCONT)


def end_sessions(house: Installation, *, share: float = 1.0) -> int:
    """Terminate that share of the programs' sessions; how many."""
    [(count,)] = house.ask(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
        " WHERE application_name = 'engage' AND random() < %s",
        share,
    )
    return int(count)


def forget_hints(house: Installation) -> int:
    """All of the broker, and everything in Redis but the queue of acknowledged events.

    The queue is no hint: it is where such an event is kept until it is stored.
    """
    import redis

    from engage.collector import stream

    socket = house.stores["redis"].socket
    with redis.Redis(unix_socket_path=str(socket), db=1) as broker:
        broker.flushdb()
    with redis.Redis(unix_socket_path=str(socket), db=0) as hints:
        names = [name for name in hints.scan_iter(count=1_000) if name.decode() != stream.name()]
        return int(hints.delete(*names)) if names else 0


def outage(house: Installation, store: str, *, seconds: float) -> float:
    """Kill a store, leave it dead, start it; how long it took to answer again."""
    house.kill_store(store)
    time.sleep(seconds)
    return house.start_store(store)
