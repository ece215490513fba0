"""Running a provider: in a thread for a test, or as a process of its own."""

import argparse
import asyncio
import json
import signal
import tempfile
import threading
from collections.abc import Awaitable, Callable
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from tests.providers.faults import Faults


@contextmanager
def in_thread(start: Callable[[], Awaitable[object]], stop: Callable[[], Awaitable[None]]):
    """A provider on its own event loop until the block ends."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        asyncio.run_coroutine_threadsafe(start(), loop).result(10)
        yield
        asyncio.run_coroutine_threadsafe(stop(), loop).result(10)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


class Service(NamedTuple):
    """A provider to be run, and what a client must know of it once it is started."""

    server: Any  # has `start` and `stop`
    facts: Callable[[], dict[str, Any]]


def as_command(
    about: str | None,
    make: Callable[[argparse.Namespace], Service],
    *,
    folder: str = "",
    captured: bool = False,
    several: str = "",
) -> None:
    """Make the provider that the command line describes, and serve.

    `folder`: what it is for, of a provider that has one. `captured`: it shows what it took.
    `several`: an option of its own that is needed, and may be repeated.
    """
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--ledger", type=Path, required=True)
    parser.add_argument("--faults", type=lambda path: Faults(path=Path(path)), default=Faults())
    if folder:
        parser.add_argument("--folder", type=Path, help=f"for {folder}")
    if captured:
        parser.add_argument("--captured", type=Path)
    if several:
        parser.add_argument(f"--{several}", action="append", required=True)
    options = parser.parse_args()
    if folder:
        options.folder = options.folder or Path(tempfile.mkdtemp(prefix="provider-"))
        options.folder.mkdir(parents=True, exist_ok=True)
    service = make(options)
    as_process(service.server.start, service.server.stop, facts=service.facts)


def as_process(
    start: Callable[[], Awaitable[object]],
    stop: Callable[[], Awaitable[None]],
    *,
    facts: Callable[[], dict],
) -> None:
    """Serve until SIGTERM or SIGINT.

    The first line on standard output is one JSON object with the port and what a client needs.
    """

    async def serve() -> None:
        loop, ended = asyncio.get_running_loop(), asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, ended.set)
        await start()
        print(json.dumps(facts()), flush=True)
        await ended.wait()
        await stop()

    asyncio.run(serve())
