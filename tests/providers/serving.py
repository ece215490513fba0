"""Running a provider: in a thread for a test, or as a process of its own."""

import asyncio
import json
import signal
import threading
from collections.abc import Awaitable, Callable
from contextlib import contextmanager


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
