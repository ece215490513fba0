"""HTTP/1.1, over TLS or plain: what a provider needs of it, and what a bad one does with it."""

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from tests.providers.serving import in_thread


@dataclass
class Asked:
    method: str
    path: str
    headers: dict[str, str]  # names in lower case
    body: bytes
    server_name: str = ""  # of the TLS handshake


@dataclass
class Answer:
    """`drip`: a byte every so many seconds. `resets`: hang up instead."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    drip: float = 0.0
    resets: bool = False


class HttpServer:
    """Calls `handle` for each request. Counts connections, also those that never ask."""

    def __init__(
        self,
        handle: Callable[[Asked], Answer],
        *,
        server_file: Path | None = None,  # key and certificate; without: plain
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        self.handle = handle
        self.server_file = server_file
        self.host = host
        self.port = port
        self.connections = 0
        self.server_name = ""
        self.tasks: set[asyncio.Task] = set()

    async def start(self) -> None:
        context = None
        if self.server_file:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self.server_file)
            context.sni_callback = self._named
        self.server = await asyncio.start_server(self._serve, self.host, self.port, ssl=context)
        self.port = self.server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        self.server.close()
        for task in list(self.tasks):
            task.cancel()
        await asyncio.gather(*list(self.tasks), return_exceptions=True)

    def running(self):
        return in_thread(self.start, self.stop)

    def _named(self, _socket, name, _context) -> None:
        self.server_name = name or ""

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        self.tasks.add(task)
        try:
            while asked := await self._read(reader):
                await self._give(writer, self.handle(asked))
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.transport.abort()
            self.tasks.discard(task)

    async def _read(self, reader: asyncio.StreamReader) -> Asked | None:
        first = await reader.readline()
        if not first:
            return None
        method, path, _ = first.decode().split()
        headers = {}
        while line := (await reader.readline()).strip():
            name, _, value = line.decode("latin-1").partition(":")
            headers[name.lower()] = value.strip()
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        return Asked(method, urlsplit(path).path, headers, body, self.server_name)

    async def _give(self, writer: asyncio.StreamWriter, answer: Answer) -> None:
        await asyncio.sleep(answer.seconds)
        if answer.resets:
            raise ConnectionResetError
        headers = {"Content-Length": str(len(answer.body))} | answer.headers
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        whole = f"HTTP/1.1 {answer.status} X\r\n{lines}\r\n".encode() + answer.body
        if not answer.drip:
            writer.write(whole)
            await writer.drain()
            return
        for number in range(len(whole)):
            writer.write(whole[number : number + 1])
            await writer.drain()
            await asyncio.sleep(answer.drip)
