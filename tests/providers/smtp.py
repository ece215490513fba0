"""A local SMTP server that keeps everything and delivers nothing.

    python -m tests.providers.smtp --port 0 --ledger FILE [--captured FOLDER] [--faults FILE]

Faults (see `faults.py`), matched by recipient: "rcpt:550 5.1.1 No such user", "data:452 …",
"reset" (before it is kept), "accept_then_reset", "silent" (kept, never answered), "garbage" (kept,
and the answer is no SMTP), "endless" (kept, and the answer goes on for ever), "drip" (kept; its
answer comes a byte a second and never ends); all may be slow.
"""

import argparse
import asyncio
import itertools
import ssl
from collections.abc import Mapping
from email.parser import BytesHeaderParser
from pathlib import Path

from aiosmtpd.smtp import SMTP, AuthResult

from tests.providers.captured import Captured, read_header
from tests.providers.faults import Faults
from tests.providers.ledger import Ledger
from tests.providers.serving import Service, as_command, in_thread

LINES_THAT_GO_ON = (b"250-" + b"x" * 70 + b"\r\n") * 1_000


class SmtpSink:
    """aiosmtpd's handler, and the server around it."""

    def __init__(
        self,
        ledger: Path,
        *,
        port: int = 0,
        captured: Path | None = None,
        faults: Faults | None = None,
        server_file: Path | None = None,  # key and certificate: offers STARTTLS
        implicit_tls: bool = False,
        login: tuple[str, str] | None = None,
        pipelining: bool = True,
        most_bytes: int = 20_000_000,
        records: Mapping[str, str] | None = None,  # the DNS: takes only what DKIM signed
    ) -> None:
        self.ledger = Ledger(ledger)
        self.port = port
        self.captured = Captured(captured, title="Captured e-mail") if captured else None
        self.faults = faults or Faults()
        self.tls = _server_context(server_file) if server_file else None
        self.implicit_tls = implicit_tls
        self.login = login
        self.pipelining = pipelining
        self.most_bytes = most_bytes  # what it announces
        self.records = records
        self.not_signed: list[bytes] = []  # what was refused for that
        self.connections = 0
        self.seen: list[tuple[str, bytes]] = []  # (recipient, raw message)

    async def start(self) -> None:
        self.server = await asyncio.get_running_loop().create_server(
            self._session,
            "127.0.0.1",
            self.port,
            ssl=self.tls if self.implicit_tls else None,
        )
        self.port = self.server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        self.server.close()
        self.ledger.close()

    def running(self):
        return in_thread(self.start, self.stop)

    def _session(self) -> SMTP:
        self.connections += 1
        return SMTP(
            self,
            enable_SMTPUTF8=False,
            data_size_limit=self.most_bytes,
            tls_context=None if self.implicit_tls else self.tls,
            require_starttls=bool(self.tls) and not self.implicit_tls,
            auth_required=self.login is not None,
            auth_require_tls=bool(self.tls) and not self.implicit_tls,
            authenticator=self._authenticate,
        )

    def _authenticate(self, server, session, envelope, mechanism, data) -> AuthResult:
        given = (data.login.decode(), data.password.decode())
        return AuthResult(success=given == self.login, handled=False)

    async def handle_EHLO(self, server, session, envelope, hostname, responses):
        session.host_name = hostname
        return responses[:-1] + ["250-PIPELINING"] * self.pipelining + responses[-1:]

    async def handle_RCPT(self, server, session, envelope, address, options):
        fault = self.faults.take(address, only="rcpt:")
        if fault:
            await asyncio.sleep(fault.seconds)
            return fault.action.removeprefix("rcpt:")
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 Ok"

    async def handle_DATA(self, server, session, envelope):
        # Not before the mail is there: a client may begin one and never hand it over.
        fault = self.faults.take(envelope.rcpt_tos[0], but="rcpt:")
        action = fault.action if fault else ""
        if action == "reset":
            server.transport.abort()
            return "421 never seen"
        if action.startswith("data:"):
            return action.removeprefix("data:")
        if self.records is not None and not self.is_signed(envelope.content):
            self.not_signed.append(envelope.content)
            return "550 5.7.20 No passing DKIM signature found"
        self._keep(envelope.content, envelope.rcpt_tos[0])
        if fault:
            await asyncio.sleep(fault.seconds)
        if action == "silent":
            await asyncio.sleep(3_600)
        if action == "drip":
            await self._drip(server.transport)
        if action == "accept_then_reset":
            server.transport.abort()
        if action == "endless":
            await pour(server.transport)
        if action == "garbage":
            return "<html>Welcome to the airport</html>"
        return f"250 2.0.0 Ok: queued as {len(self.seen)}"

    def is_signed(self, raw: bytes) -> bool:
        """By somebody whose key is in our DNS."""
        import dkim  # the demo runs without it

        def find_text(name: bytes, timeout: int = 5) -> bytes:
            return self.records.get(name.decode().rstrip("."), "").encode()

        return dkim.verify(raw, dnsfunc=find_text)

    async def _drip(self, transport) -> None:
        for byte in itertools.cycle(b"250-thinking\r\n"):
            if transport.is_closing():
                return
            transport.write(bytes([byte]))
            await asyncio.sleep(1)

    def _keep(self, raw: bytes, recipient: str) -> None:
        mail = BytesHeaderParser().parsebytes(raw)
        self.ledger.write(
            key=str(mail["message-id"]).strip("<>").split("@")[0],
            to=recipient,
            subject=read_header(mail, "subject"),
        )
        self.seen.append((recipient, raw))
        if self.captured:
            self.captured.add_mail(raw, recipient=recipient)


async def pour(transport: asyncio.Transport) -> None:
    """A reply of which another line follows always, until the client hangs up."""
    while not transport.is_closing():
        if transport.get_write_buffer_size() < 1_000_000:
            transport.write(LINES_THAT_GO_ON)
        await asyncio.sleep(0)


def _server_context(server_file: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(server_file)
    return context


def make(options: argparse.Namespace) -> Service:
    sink = SmtpSink(
        options.ledger,
        port=options.port,
        captured=options.captured,
        faults=options.faults,
    )
    return Service(
        sink,
        lambda: {
            "port": sink.port,
            "url": f"smtp://127.0.0.1:{sink.port}",
            "captured": str(sink.captured.index) if sink.captured else "",
        },
    )


if __name__ == "__main__":
    as_command(__doc__, make, captured=True)
