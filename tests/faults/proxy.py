"""Between the programs and PostgreSQL: lets everything through, and cuts at the worst moment."""

import asyncio
import random
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.providers.serving import in_thread

COMMITTED = b"COMMIT\x00"  # the tag of PostgreSQL's answer: it is on the disk


@dataclass
class CommitCutter:
    """Of the answers to COMMIT it keeps a `share` to itself, and hangs up instead."""

    folder: Path
    upstream: Path
    seed: int
    share: float = 0.0
    cuts: int = 0

    @contextmanager
    def running(self) -> Iterator[None]:
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(mode=0o700)
        self.rng = random.Random(self.seed)
        with in_thread(self._start, self._stop):
            yield

    async def _start(self) -> None:
        self.server = await asyncio.start_unix_server(
            self._connected, self.folder / ".s.PGSQL.5432"
        )

    async def _stop(self) -> None:
        self.server.close()

    async def _connected(self, ours: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        try:
            theirs, forth = await asyncio.open_unix_connection(self.upstream)
        except OSError:
            back.close()
            return
        ways = [
            asyncio.create_task(self._carry(ours, forth, may_cut=False)),
            asyncio.create_task(self._carry(theirs, back, may_cut=True)),
        ]
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for way in ways:
            way.cancel()
        for writer in (back, forth):
            writer.close()

    async def _carry(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, may_cut: bool
    ) -> None:
        with suppress(OSError):
            while chunk := await reader.read(1 << 16):
                if may_cut and COMMITTED in chunk and self.rng.random() < self.share:
                    self.cuts += 1
                    return
                writer.write(chunk)
                await writer.drain()
