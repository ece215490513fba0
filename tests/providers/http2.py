"""What the local push providers share: HTTP/2 over TLS, one answer per request, faults on demand.

A provider says what it answers; how it misbehaves on the wire is here. Actions that any of them
can play (see `faults.py`): "reset" (before anything is kept), "accept_then_reset", "html" (a page
with status 200), "empty", "cut" (half of the JSON), "huge" (1 GB), "drip" (a byte a second,
without an end), "hang_up" (GOAWAY: this stream and those after it were not handled),
"refuse_stream" (not handled, and it says so); each may be slow.
"""

import asyncio
import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import DataReceived, RequestReceived, StreamEnded, StreamReset, WindowUpdated
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes

from tests.providers.certificates import make_certificates
from tests.providers.faults import Fault, Faults
from tests.providers.ledger import Ledger
from tests.providers.serving import in_thread

PAGE = b"<html>Welcome to the airport</html>"
MEGABYTE = b" " * 1_000_000
UNHANDLED = {"reset", "hang_up", "refuse_stream"}  # faults that strike before anything is kept


@dataclass
class Answer:
    status: int
    content: object = None  # becomes JSON; None: no body
    headers: Mapping[str, str] = field(default_factory=dict)
    fault: Fault | None = None

    def body(self) -> tuple[bytes, int]:
        """(bytes, how often they are sent)"""
        action = self.fault.action if self.fault else ""
        if action == "html":
            return PAGE, 1
        if action == "huge":
            return MEGABYTE, 1_000
        said = b"" if self.content is None else json.dumps(self.content).encode()
        kept = {"empty": 0, "cut": len(said) // 2}.get(action, len(said))
        return said[:kept], 1


class Provider:
    """The state all connections share."""

    streams_at_once = 100  # SETTINGS_MAX_CONCURRENT_STREAMS of new connections
    settings_seconds = 0.0  # how late SETTINGS come

    def __init__(
        self, ledger: Path, *, folder: Path, port: int = 0, faults: Faults | None = None
    ) -> None:
        self.ledger = Ledger(ledger)
        self.folder = folder
        self.port = port
        self.faults = faults or Faults()
        self.requests = 0
        self.connections = 0
        self.transports: list[asyncio.BaseTransport] = []
        self.most_at_once = 0  # streams open together on one connection
        self.window_updates = 0  # of streams: clients that want to read more
        self.ca_file, self.server_file = make_certificates(folder)

    @property
    def url(self) -> str:
        return f"https://localhost:{self.port}"

    def answer(self, path: str, headers: dict[str, str], body: bytes) -> Answer:
        raise NotImplementedError

    async def start(self) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.server_file)
        context.set_alpn_protocols(["h2"])
        self.server = await asyncio.get_running_loop().create_server(
            lambda: Connection(self), "127.0.0.1", self.port, ssl=context
        )
        self.port = self.server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        self.server.close()
        self.ledger.close()

    def running(self):
        return in_thread(self.start, self.stop)

    def close_all(self) -> None:
        """As servers do with connections that idle: without a word of HTTP."""

        async def close() -> None:
            for transport in self.transports:
                transport.close()

        asyncio.run_coroutine_threadsafe(close(), self.server.get_loop()).result(5)


class Connection(asyncio.Protocol):
    """One HTTP/2 connection."""

    def __init__(self, provider: Provider) -> None:
        self.provider = provider
        self.http = H2Connection(H2Configuration(client_side=False, header_encoding="utf-8"))
        self.streams: dict[int, tuple[dict[str, str], bytearray]] = {}
        self.under_way: set[int] = set()
        self.unsent: dict[int, tuple[memoryview, bytes, int]] = {}
        self.speaks = False
        self.ended_at = 0  # after GOAWAY: the last stream that was handled
        provider.connections += 1

    def connection_made(self, transport) -> None:
        self.transport = transport
        self.provider.transports.append(transport)
        self.http.initiate_connection()
        self.http.update_settings(
            {SettingCodes.MAX_CONCURRENT_STREAMS: self.provider.streams_at_once}
        )
        if self.provider.settings_seconds:
            loop = asyncio.get_running_loop()
            loop.call_later(self.provider.settings_seconds, self._speak)
        else:
            self._speak()

    def _speak(self) -> None:
        self.speaks = True
        self._flush()

    def data_received(self, data: bytes) -> None:
        try:
            events = self.http.receive_data(data)
        except ProtocolError:
            self.transport.abort()
            return
        for event in events:
            if isinstance(event, RequestReceived):
                self._open(event.stream_id, dict(event.headers))
            elif isinstance(event, DataReceived):
                if event.stream_id in self.streams:
                    self.streams[event.stream_id][1].extend(event.data)
                size = event.flow_controlled_length
                self.http.acknowledge_received_data(size, event.stream_id)
            elif isinstance(event, StreamEnded) and event.stream_id in self.streams:
                self._answer(event.stream_id)
            elif isinstance(event, StreamReset):
                self._forget(event.stream_id)
            elif isinstance(event, WindowUpdated):
                self.provider.window_updates += event.stream_id != 0
                for stream_id in list(self.unsent):
                    self._send_body(stream_id)
            if self.transport.is_closing():
                return
        self._flush()

    def _open(self, stream_id: int, headers: dict[str, str]) -> None:
        if len(self.under_way) >= self.provider.streams_at_once:
            self.http.reset_stream(stream_id, ErrorCodes.REFUSED_STREAM)
            return
        self.under_way.add(stream_id)
        self.provider.most_at_once = max(self.provider.most_at_once, len(self.under_way))
        self.streams[stream_id] = (headers, bytearray())

    def _forget(self, stream_id: int) -> None:
        self.under_way.discard(stream_id)
        self.streams.pop(stream_id, None)
        self.unsent.pop(stream_id, None)

    def _answer(self, stream_id: int) -> None:
        headers, body = self.streams.pop(stream_id)
        answer = self.provider.answer(headers[":path"], headers, bytes(body))
        if answer.fault and answer.fault.seconds:
            loop = asyncio.get_running_loop()
            loop.call_later(answer.fault.seconds, self._give, stream_id, answer)
        else:
            self._give(stream_id, answer)

    def _give(self, stream_id: int, answer: Answer) -> None:
        action = answer.fault.action if answer.fault else ""
        if action in {"reset", "accept_then_reset"}:
            self.transport.abort()
        if self.transport.is_closing() or stream_id not in self.under_way:
            return
        if action == "hang_up":
            self.http.close_connection(last_stream_id=max(stream_id - 2, 0))
            self._flush()
            self.transport.close()
            return
        if action == "refuse_stream":
            self.http.reset_stream(stream_id, ErrorCodes.REFUSED_STREAM)
            self._forget(stream_id)
            self._flush()
            return
        body, times = answer.body()
        kind = {"content-type": "application/json"} if times == 1 and body else {}
        headers = {":status": str(answer.status)} | kind | dict(answer.headers)
        self.http.send_headers(stream_id, list(headers.items()))
        if action == "drip":
            self._drip(stream_id)
            return
        self.unsent[stream_id] = (memoryview(body), body, times - 1)
        self._send_body(stream_id)
        self._flush()

    def _drip(self, stream_id: int) -> None:
        if self.transport.is_closing() or stream_id not in self.under_way:
            return
        self.http.send_data(stream_id, b" ")
        self._flush()
        asyncio.get_running_loop().call_later(1, self._drip, stream_id)

    def _send_body(self, stream_id: int) -> None:
        """As much as the windows allow; the rest when they open."""
        left, body, times = self.unsent[stream_id]
        while left or times:
            if not left:
                left, times = memoryview(body), times - 1
            room = min(
                self.http.local_flow_control_window(stream_id), self.http.max_outbound_frame_size
            )
            if room <= 0:
                self.unsent[stream_id] = (left, body, times)
                return
            self.http.send_data(stream_id, bytes(left[:room]))
            left = left[room:]
        self.http.end_stream(stream_id)
        self._forget(stream_id)

    def _flush(self) -> None:
        if self.speaks and not self.transport.is_closing():
            self.transport.write(self.http.data_to_send())
