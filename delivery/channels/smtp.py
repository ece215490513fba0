"""E-mail by SMTP: one connection per worker, one recipient per transaction."""

import logging
import re
import smtplib
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from email.utils import make_msgid
from ipaddress import ip_address
from typing import IO, Final
from urllib.parse import parse_qs, unquote, urlsplit

from django.conf import settings

from delivery.channels.mime import build_mail, find_address, find_sender_address
from delivery.drafts import Accepted, Draft, EmailContent, Outcome, Refused, TryLater, Unknown
from delivery.errors import ChannelNotConfigured, ChannelUnavailable
from engage.lib import clock, failpoints

logger = logging.getLogger(__name__)

MOST_REPLY_BYTES: Final = 65_536  # of one reply, all its lines together
IDLE_SECONDS = 30.0  # after a longer silence a server may have hung up
ENHANCED: Final = re.compile(rb"\b([245]\.\d{1,3}\.\d{1,3})\b")
# Nobody lives there: bad mailbox, mailbox moved, domain without mail. Other refusals of a
# recipient (policy, reputation, full) say nothing about the address.
GONE: Final = {"5.1.1", "5.1.6", "5.1.10"}
BROKEN = (OSError, smtplib.SMTPException)
Reply = tuple[int, bytes]


class Reader:
    """What a server says, each reply of which has an end: smtplib keeps all its lines."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file = file
        self.left = MOST_REPLY_BYTES

    def readline(self, most: int) -> bytes:
        line = self.file.readline(most)
        self.left -= len(line)
        if self.left < 0:
            raise smtplib.SMTPServerDisconnected("a reply without an end")
        return line

    def close(self) -> None:
        self.file.close()


class Bounded(smtplib.SMTP):
    def getreply(self) -> Reply:
        if self.file is None:
            assert self.sock is not None  # noqa: S101 - smtplib asks only when connected
            self.file = Reader(self.sock.makefile("rb"))
        self.file.left = MOST_REPLY_BYTES
        return super().getreply()


class BoundedTls(Bounded, smtplib.SMTP_SSL):
    pass


@dataclass(frozen=True, slots=True)
class Server:
    host: str
    port: int
    user: str
    password: str
    tls: bool  # from the first byte
    starttls: bool  # required, not merely tried


def parse_url(url: str) -> Server:
    """Raises ChannelNotConfigured with what to write instead."""
    wanted = "expected smtp://user:password@host:587?starttls=1 or smtps://user:password@host:465"
    if not url:
        raise ChannelNotConfigured(f"ENGAGE_SMTP_URL is not set: {wanted}")
    try:
        parts = urlsplit(url)
        port, options = parts.port, parse_qs(parts.query, strict_parsing=bool(parts.query))
    except ValueError as exc:
        raise ChannelNotConfigured(f"ENGAGE_SMTP_URL cannot be read: {wanted}") from exc
    starttls = options.pop("starttls", ["0"])[-1]
    known = parts.scheme in {"smtp", "smtps"} and starttls in {"0", "1"} and not options
    if not known or not parts.hostname or parts.path.strip("/"):
        raise ChannelNotConfigured(f"ENGAGE_SMTP_URL cannot be read: {wanted}")
    tls = parts.scheme == "smtps"
    if parts.password and not tls and starttls == "0" and not is_local(parts.hostname):
        raise ChannelNotConfigured(
            "ENGAGE_SMTP_URL would send the password to another machine in the clear: " + wanted
        )
    return Server(
        host=parts.hostname,
        port=port or (465 if tls else 587 if starttls == "1" else 25),
        user=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        tls=tls,
        starttls=starttls == "1",
    )


def is_local(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class SmtpChannel:
    batch_size = 10

    def __init__(self) -> None:
        self.server = parse_url(settings.SMTP_URL)
        self.session: smtplib.SMTP | None = None
        self.last_used = 0.0

    def send(self, drafts: Sequence[Draft]) -> list[Outcome]:
        """Raises ChannelUnavailable when the server cannot be reached for the first draft."""
        deadline = time.monotonic() + settings.PROVIDER_TIMEOUT_SECONDS
        outcomes: list[Outcome] = []
        with self._watched(deadline):
            for draft in drafts:
                try:
                    outcomes.append(self._send_in_time(draft, deadline))
                except ChannelUnavailable:
                    if not outcomes:
                        raise
                    later = TryLater("unavailable", everybody=True)
                    return outcomes + [later] * (len(drafts) - len(outcomes))
        return outcomes

    def close(self) -> None:
        if self.session is not None:
            with suppress(*BROKEN):
                self.session.close()
        self.session = None

    def _send_in_time(self, draft: Draft, deadline: float) -> Outcome:
        if time.monotonic() >= deadline:
            return TryLater("no_time", everybody=True)
        recipient = find_address(draft.address)
        content = draft.content
        if recipient is None or not isinstance(content, EmailContent):
            return Refused("invalid_address")
        sender = find_sender_address(content.sender)
        if sender is None:
            return Refused("invalid_sender")
        try:
            mail = build_mail(
                content,
                recipient=recipient,
                message_id=f"{draft.key}@{sender.partition('@')[2]}",
                boundary=f"={draft.message_id.hex}",
                date=clock.now(),
            )
        except ValueError:
            return Refused("invalid_header")
        return self._deliver(sender, recipient, mail, deadline)

    def _deliver(self, sender: str, recipient: str, mail: bytes, deadline: float) -> Outcome:
        """One transaction; a kept connection that turns out dead is replaced once."""
        reused = self._is_alive()
        transaction = Transaction(self._connected(deadline), sender, recipient)
        try:
            outcome = transaction.run(mail)
        except BROKEN:
            self.close()
            if transaction.handed_over:
                return Unknown("no_answer", everybody=time.monotonic() >= deadline)
            if reused and time.monotonic() < deadline:  # hung up while we were idle
                return self._deliver(sender, recipient, mail, deadline)
            return TryLater("connection_lost", everybody=True)
        self.last_used = time.monotonic()
        if transaction.hangs_up:
            self.close()
        return outcome

    def _is_alive(self) -> bool:
        if self.session is not None and time.monotonic() - self.last_used > IDLE_SECONDS:
            self.close()
        return self.session is not None

    def _connected(self, deadline: float) -> smtplib.SMTP:
        if self.session is None:
            left = max(deadline - time.monotonic(), 0.1)
            try:
                self._open(timeout_seconds=left)
            except (smtplib.SMTPException, OSError, UnicodeError) as exc:
                self.close()
                logger.warning("mail server not reached", extra={"error": type(exc).__name__})
                raise ChannelUnavailable(
                    f"the mail server cannot be used: {type(exc).__name__}"
                ) from exc
        assert self.session is not None  # noqa: S101 - just opened
        return self.session

    def _open(self, *, timeout_seconds: float) -> None:
        server = self.server
        name = urlsplit(settings.PUBLIC_URL).hostname or make_msgid().rpartition("@")[2]
        if server.tls:
            self.session = BoundedTls(local_hostname=name, timeout=timeout_seconds, context=_tls())
        else:
            self.session = Bounded(local_hostname=name, timeout=timeout_seconds)
        self.session._host = server.host  # type: ignore[attr-defined]
        code, greeting = self.session.connect(server.host, server.port)
        if code != 220:
            raise smtplib.SMTPConnectError(code, greeting)
        if self.session.sock is not None:  # a mail's last bytes must not wait for an ACK
            self.session.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.session.ehlo_or_helo_if_needed()
        if server.starttls:
            self.session.starttls(context=_tls())
            self.session.ehlo_or_helo_if_needed()
        if server.user:
            self.session.login(server.user, server.password)

    @contextmanager
    def _watched(self, deadline: float) -> Iterator[None]:
        """Hang up at the deadline: a server that drips bytes would never run into a timeout."""
        timer = threading.Timer(max(deadline - time.monotonic(), 0.0), self._hang_up)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _hang_up(self) -> None:
        session = self.session
        if session is not None and session.sock is not None:
            with suppress(OSError):
                session.sock.shutdown(2)


class Transaction:
    """One mail to one recipient. `handed_over`: the server may have all of it."""

    def __init__(self, session: smtplib.SMTP, sender: str, recipient: str) -> None:
        self.session = session
        self.commands = [f"MAIL FROM:<{sender}>", f"RCPT TO:<{recipient}>", "DATA"]
        self.handed_over = False
        self.hangs_up = False

    def run(self, mail: bytes) -> Outcome:
        replies = self._begin()
        refused = next((reply for reply in replies[:2] if reply[0] // 100 != 2), None)
        ready = len(replies) == 3 and replies[2][0] == 354
        if refused is None and ready:
            self.handed_over = True
            self.session.send(_dotted(mail) + b".\r\n")
            failpoints.reach("C10")
            answer = self._reply()
            if answer[0] // 100 == 3:  # an answer to something else
                self.hangs_up = True
                return Unknown("out_of_step")
            return self._judge(answer, about_recipient=False)
        if ready:  # it waits for a mail to nobody
            self.session.send(b".\r\n")
            self._reply()
        elif not self.hangs_up:
            self._reset()
        answer = refused or replies[-1]
        if answer[0] // 100 in {2, 3}:  # yes, but not to what was asked: no mail was handed over
            self.hangs_up = True
            return TryLater("out_of_step")
        return self._judge(answer, about_recipient=len(replies) > 1 and answer is replies[1])

    def _reset(self) -> None:
        """Some servers hang up after a refusal; the refusal stands."""
        try:
            self.session.rset()
        except BROKEN:
            self.hangs_up = True

    def _begin(self) -> list[Reply]:
        """The replies to MAIL, RCPT and DATA, in one round trip where the server allows it."""
        if self.session.has_extn("pipelining"):
            self.session.send("".join(f"{line}\r\n" for line in self.commands))
            return [self._reply() for _ in self.commands]
        replies: list[Reply] = []
        for line in self.commands:
            self.session.putcmd(line)
            replies.append(self._reply())
            if replies[-1][0] // 100 not in {2, 3}:
                break
        return replies

    def _reply(self) -> Reply:
        code, text = self.session.getreply()
        self.hangs_up = self.hangs_up or code == 421
        if code < 200:
            raise smtplib.SMTPServerDisconnected("not an SMTP reply")
        return code, text

    def _judge(self, reply: Reply, *, about_recipient: bool) -> Outcome:
        code, text = reply
        found = ENHANCED.search(text)
        status = found[1].decode() if found else ""
        reason = f"smtp {code} {status}".strip()
        if code // 100 == 2:
            return Accepted(_without_addresses(text))
        if code // 100 == 4:
            return TryLater(reason, everybody=self.hangs_up)
        return Refused(reason, gone=about_recipient and status in GONE)


def _tls() -> ssl.SSLContext:
    context = ssl.create_default_context()
    if settings.CA_FILE:
        context.load_verify_locations(settings.CA_FILE)
    return context


def _dotted(mail: bytes) -> bytes:
    """A line that begins with a dot would end the mail. Its first line is a header of ours."""
    return mail.replace(b"\n.", b"\n..")


def _without_addresses(text: bytes) -> str:
    words = text.decode("ascii", "replace").split()
    return " ".join(word for word in words if "@" not in word)[:255]
