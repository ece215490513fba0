"""E-mail by SMTP: one connection per worker, one recipient per mail, answers not waited for."""

import logging
import re
import smtplib
import socket
import ssl
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from email.utils import make_msgid
from typing import IO, Final
from urllib.parse import urlsplit

from django.conf import settings

from delivery.channels.dkim import Signer, read_signer
from delivery.channels.mime import LARGEST_MAIL, build_mail, find_address, find_sender_address
from delivery.channels.smtp_server import parse_url
from delivery.drafts import Accepted, Draft, EmailContent, Outcome, Refused, TryLater, Unknown
from delivery.errors import ChannelUnavailable
from engage.lib import clock, failpoints

logger = logging.getLogger(__name__)

MOST_REPLY_BYTES: Final = 65_536  # of one reply, all its lines together
IDLE_SECONDS = 30.0  # after a longer silence a server may have hung up
SIZE: Final = re.compile(r"[0-9]{1,20}")  # as long as RFC 1870 allows
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
class Mail:
    place: int  # among the drafts
    sender: str
    recipient: str
    content: bytes  # ends with a line's end; no line begins with a dot

    @property
    def commands(self) -> list[bytes]:
        return [
            f"MAIL FROM:<{self.sender}>\r\n".encode(),
            f"RCPT TO:<{self.recipient}>\r\n".encode(),
            b"DATA\r\n",
        ]


class SmtpChannel:
    batch_size = 10

    def __init__(self) -> None:
        self.server = parse_url(settings.SMTP_URL)
        self.signer = read_signer()
        self.session: smtplib.SMTP | None = None
        self.last_used = 0.0

    def send(self, drafts: Sequence[Draft]) -> list[Outcome]:
        """Raises ChannelUnavailable when the server cannot be reached for the first draft."""
        deadline = time.monotonic() + settings.PROVIDER_TIMEOUT_SECONDS
        written = [write_mail(draft, place, self.signer) for place, draft in enumerate(drafts)]
        outcomes: dict[int, Outcome] = {
            place: found for place, found in enumerate(written) if isinstance(found, Refused)
        }
        waiting = deque(mail for mail in written if isinstance(mail, Mail))
        while waiting and time.monotonic() < deadline:
            try:
                self._deliver(waiting, outcomes, deadline)
            except ChannelUnavailable:
                if not outcomes:
                    raise
                return _fill(outcomes, TryLater("unavailable", everybody=True), len(drafts))
        return _fill(outcomes, TryLater("no_time", everybody=True), len(drafts))

    def close(self) -> None:
        if self.session is not None:
            with suppress(*BROKEN):
                self.session.close()
        self.session = None

    def _deliver(
        self, waiting: deque[Mail], outcomes: dict[int, Outcome], deadline: float
    ) -> None:
        """As many as one connection takes; those that were not handed over keep waiting.

        Where a new connection breaks before the first is handed over, that one waits no longer.
        """
        reused = self._is_alive()
        session = self._connected(deadline)
        conversation = Conversation(session, deadline)
        _refuse_large(waiting, outcomes, most_bytes=find_size(session))
        first = waiting[0] if waiting else None
        try:
            conversation.deliver(waiting, outcomes)
        except BROKEN:
            conversation.over = True
            late = time.monotonic() >= deadline
            if conversation.handed_over is not None:
                outcomes[conversation.handed_over.place] = Unknown("no_answer", everybody=late)
            elif waiting and waiting[0] is first and not reused and not late:
                outcomes[waiting.popleft().place] = TryLater("connection_lost", everybody=True)
        self.last_used = time.monotonic()
        if conversation.over:
            self.close()

    def _is_alive(self) -> bool:
        if self.session is not None and time.monotonic() - self.last_used > IDLE_SECONDS:
            self.close()
        return self.session is not None

    def _connected(self, deadline: float) -> smtplib.SMTP:
        if self.session is None:
            left = max(deadline - time.monotonic(), 0.1)
            try:
                with self._watched(deadline):
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


class Conversation:
    """Mails over one connection, the next one begun while an answer is on its way.

    With pipelining (RFC 2920) a mail and the envelope of the next go out together, as DATA ends a
    group of commands and the final dot a mail. Answers come in the order of the commands; each is
    waited for, so that none is taken for another's.
    """

    def __init__(self, session: smtplib.SMTP, deadline: float) -> None:
        assert session.sock is not None  # noqa: S101 - connected
        self.socket = session.sock
        self.pipelining = session.has_extn("pipelining")
        self.deadline = deadline
        self.unread = bytearray()
        self.begun: Mail | None = None  # its commands are written, their replies to come
        self.handed_over: Mail | None = None  # the server may have all of it
        self.over = False  # the connection is not to be used again

    def deliver(self, waiting: deque[Mail], outcomes: dict[int, Outcome]) -> None:
        """Takes off who has an outcome or was handed over. Raises BROKEN."""
        while waiting and not self.over:
            mail = waiting[0]
            replies = self._begin(mail)
            refused = next((reply for reply in replies[:2] if reply[0] // 100 != 2), None)
            ready = len(replies) == 3 and replies[2][0] == 354
            if time.monotonic() >= self.deadline:
                self.over = True
                return
            waiting.popleft()
            following = waiting[0] if waiting else None
            if ready and refused is None:
                outcomes[mail.place] = self._hand_over(mail, following)
            else:
                outcomes[mail.place] = self._judge_refusal(replies, refused)
                self._clear(ready, following)

    def _begin(self, mail: Mail) -> list[Reply]:
        """The replies to MAIL, RCPT and DATA, or to as many as there will be."""
        if self.pipelining and self.begun is not mail:
            self._write(b"", mail)
        self.begun = None
        replies: list[Reply] = []
        for command in mail.commands:
            if not self.pipelining:
                self._write(command)
            replies.append(self._reply())
            refused = replies[-1][0] // 100 not in {2, 3}
            if self.over or (refused and not self.pipelining):
                break
        return replies

    def _hand_over(self, mail: Mail, following: Mail | None) -> Outcome:
        self.handed_over = mail
        self._write(mail.content + b".\r\n", following)
        failpoints.reach("C10")
        answer = self._reply()
        self.handed_over = None
        if answer[0] // 100 == 3:  # an answer to something else
            self.over = True
            return Unknown("out_of_step")
        return self._judge(answer, about_recipient=False)

    def _judge_refusal(self, replies: list[Reply], refused: Reply | None) -> Outcome:
        answer = refused or replies[-1]
        if answer[0] // 100 in {2, 3}:  # yes, but not to what was asked: no mail was handed over
            self.over = True
            return TryLater("out_of_step")
        return self._judge(answer, about_recipient=len(replies) > 1 and answer is replies[1])

    def _clear(self, ready: bool, following: Mail | None) -> None:
        """End what was refused; where the server waits for a mail all the same, by an empty one.

        Some servers hang up after a refusal; the refusal stands.
        """
        if self.over and not ready:
            return
        try:
            self._write(b".\r\n" if ready else b"RSET\r\n", None if self.over else following)
            self._reply()
        except BROKEN:
            self.over = True

    def _write(self, data: bytes, following: Mail | None = None) -> None:
        if following is not None and self.pipelining:
            data += b"".join(following.commands)
            self.begun = following
        self.socket.settimeout(self._left())
        self.socket.sendall(data)

    def _reply(self) -> Reply:
        """Raises SMTPServerDisconnected for what is none, too."""
        texts: list[bytes] = []
        left = MOST_REPLY_BYTES
        while True:
            line = self._line(left)
            left -= len(line) + 1
            texts.append(line[4:].strip())
            if line[3:4] != b"-":
                break
        code = int(line[:3]) if line[:3].isdigit() else 0
        self.over = self.over or code == 421
        if code < 200:
            raise smtplib.SMTPServerDisconnected("not an SMTP reply")
        return code, b"\n".join(texts)

    def _line(self, most: int) -> bytes:
        while (end := self.unread.find(b"\n")) < 0:
            if len(self.unread) > most:
                raise smtplib.SMTPServerDisconnected("a reply without an end")
            # Before each read: a server that drips bytes would never run into one timeout.
            self.socket.settimeout(self._left())
            chunk = self.socket.recv(4_096)
            if not chunk:
                raise smtplib.SMTPServerDisconnected("hung up")
            self.unread += chunk
        line = bytes(self.unread[:end])
        del self.unread[: end + 1]
        return line

    def _left(self) -> float:
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left

    def _judge(self, reply: Reply, *, about_recipient: bool) -> Outcome:
        code, text = reply
        found = ENHANCED.search(text)
        status = found[1].decode() if found else ""
        reason = f"smtp {code} {status}".strip()
        if code // 100 == 2:
            return Accepted(_without_addresses(text))
        if code // 100 == 4:
            return TryLater(reason, everybody=self.over)
        return Refused(reason, gone=about_recipient and status in GONE)


def write_mail(draft: Draft, place: int, signer: Signer | None) -> Mail | Refused:
    recipient, content = find_address(draft.address), draft.content
    if recipient is None or not isinstance(content, EmailContent):
        return Refused("invalid_address")
    sender = find_sender_address(content.sender)
    if sender is None:
        return Refused("invalid_sender")
    now = clock.now()
    try:
        mail = build_mail(
            content,
            recipient=recipient,
            message_id=f"{draft.key}@{sender.partition('@')[2]}",
            boundary=f"={draft.message_id.hex}",
            date=now,
        )
    except ValueError:
        return Refused("invalid_header")
    if signer is not None:
        mail = signer.sign(mail, sender=sender, now=now)
    if len(mail) > LARGEST_MAIL:
        return Refused("payload_too_large")
    return Mail(place, sender, recipient, mail)


def find_size(session: smtplib.SMTP) -> int | None:
    """The most that the server says it takes (RFC 1870); None where it names no bound."""
    said = session.esmtp_features.get("size", "")
    return int(said) or None if SIZE.fullmatch(said) else None


def _refuse_large(
    waiting: deque[Mail], outcomes: dict[int, Outcome], *, most_bytes: int | None
) -> None:
    """Before the envelope: after it, a whole mail would go out to be refused."""
    for mail in list(waiting):
        if most_bytes is not None and len(mail.content) > most_bytes:
            waiting.remove(mail)
            outcomes[mail.place] = Refused("payload_too_large")


def _fill(outcomes: Mapping[int, Outcome], rest: Outcome, count: int) -> list[Outcome]:
    return [outcomes.get(place, rest) for place in range(count)]


def _tls() -> ssl.SSLContext:
    context = ssl.create_default_context()
    if settings.CA_FILE:
        context.load_verify_locations(settings.CA_FILE)
    return context


def _without_addresses(text: bytes) -> str:
    words = text.decode("ascii", "replace").split()
    return " ".join(word for word in words if "@" not in word)[:255]
