"""The door for outgoing HTTP: many requests at once over few connections, each made at most once.

TLS only, HTTP/2 where the server speaks it, no redirects, no proxies, bounded time and answers.
"""

import io
import re
import socket
import ssl
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import pycurl
from django.conf import settings

# A connection that never came to be: the request cannot have been read by anybody.
NEVER_SENT: Final = frozenset(
    {
        pycurl.E_UNSUPPORTED_PROTOCOL,
        pycurl.E_URL_MALFORMAT,
        pycurl.E_COULDNT_RESOLVE_HOST,
        pycurl.E_COULDNT_CONNECT,
        pycurl.E_SSL_CONNECT_ERROR,
        pycurl.E_SSL_CERTPROBLEM,
        pycurl.E_PEER_FAILED_VERIFICATION,
        pycurl.E_SSL_CACERT_BADFILE,
    }
)
CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
LONGEST_CONNECT_SECONDS = 5.0
LONGEST_RETRY_AFTER_SECONDS = 86_400.0
TIMEOUT: Final = "timeout"  # the reason of a `NoAnswer` that had all its time
# Answers to many requests come in a row, and to look for one costs more than to take it. A short
# rest lets them gather, and is nothing beside the way to a server.
GATHERING_SECONDS = 0.002
GRACE_SECONDS = 1.0  # after the deadline, for libcurl to notice it by itself


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    url: str
    body: bytes
    headers: Sequence[str] = ()  # "Name: value"
    method: str = "POST"
    addresses: Sequence[str] = ()  # the only ones to connect to, whatever the resolver says
    plain: bool = False  # http will do
    compressed: bool = False  # the answer may be; its bound holds for both sizes


@dataclass(frozen=True, slots=True)
class Response:
    status: int
    headers: dict[str, str]  # names in lower case
    body: bytes


@dataclass(frozen=True, slots=True)
class NoAnswer:
    """`sent` False: certainly never sent. True: it may have been read and acted on."""

    reason: str
    sent: bool


@dataclass(slots=True)
class Transfer:
    """One request under way and what came back so far."""

    index: int
    most_bytes: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytearray = field(default_factory=bytearray)

    def take_header(self, line: bytes) -> None:
        name, colon, value = line.decode("latin-1").partition(":")
        if colon:
            self.headers[name.strip().lower()] = value.strip()

    def take_body(self, chunk: bytes) -> int | None:
        if len(self.body) + len(chunk) > self.most_bytes:
            return -1  # libcurl ends the transfer
        self.body += chunk
        return None


class Door:
    """Connections to providers, kept open between batches. Not for use by several threads.

    `patient`: rather wait for the one HTTP/2 connection than open more. A server that does not say
    which HTTP it speaks then makes all wait for its first answer: not for hosts we do not know.

    Servers close connections that idle, and libcurl may put requests on one all the same (seen in
    8.23); then nobody knows what became of them. Those idle for longer are not used again.
    """

    def __init__(
        self,
        *,
        connections_per_host: int = 4,
        patient: bool = True,
        longest_idle_seconds: float = 60.0,
    ) -> None:
        self.connections_per_host = connections_per_host
        self.patient = patient
        self.longest_idle_seconds = longest_idle_seconds
        self.multi = self._without_connections()
        self.used_at = time.monotonic()
        self.idle: list[Any] = []

    def fetch(
        self, requests: Sequence[Request], *, timeout_seconds: float, most_bytes: int = 65_536
    ) -> list[Response | NoAnswer]:
        """Make all requests at once; answers in their order, all of them before the timeout."""
        deadline = time.monotonic() + timeout_seconds
        if time.monotonic() - self.used_at > self.longest_idle_seconds:
            self._begin_anew()
        answers: list[Response | NoAnswer | None] = [None] * len(requests)
        under_way: dict[Any, Transfer] = {}
        for index, request in enumerate(requests):
            curl = self.idle.pop() if self.idle else pycurl.Curl()
            under_way[curl] = Transfer(index, most_bytes)
            _prepare(curl, request, under_way[curl], timeout_seconds=timeout_seconds)
            curl.setopt(pycurl.PIPEWAIT, int(self.patient))
            _pin(curl, request)
            self.multi.add_handle(curl)
        while under_way and time.monotonic() < deadline + GRACE_SECONDS:
            self._drive(deadline)
            for curl, error in self._ended():
                transfer = under_way.pop(curl)
                answers[transfer.index] = _answer(curl, transfer, error)
                self._put_back(curl)
            if len(under_way) > 1:
                time.sleep(GATHERING_SECONDS)
        for curl, transfer in under_way.items():
            answers[transfer.index] = NoAnswer(TIMEOUT, sent=True)
            self.multi.remove_handle(curl)
            curl.close()
        if any(isinstance(answer, NoAnswer) and answer.sent for answer in answers):
            # A broken connection, or one into a black hole, is kept by libcurl for a while; the
            # next requests would end on it with nobody knowing (seen in 8.23).
            self._begin_anew()
        self.used_at = time.monotonic()
        return [answer for answer in answers if answer is not None]

    def close(self) -> None:
        for curl in self.idle:
            curl.close()
        self.idle.clear()
        self.multi.close()

    def _begin_anew(self) -> None:
        self.multi.close()
        self.multi = self._without_connections()

    def _without_connections(self) -> Any:
        multi = pycurl.CurlMulti()
        multi.setopt(pycurl.M_PIPELINING, pycurl.PIPE_MULTIPLEX)
        multi.setopt(pycurl.M_MAX_HOST_CONNECTIONS, self.connections_per_host)
        return multi

    def _drive(self, deadline: float) -> None:
        while self.multi.perform()[0] == pycurl.E_CALL_MULTI_PERFORM:
            pass
        pause = min(max(deadline - time.monotonic(), 0.0) + 0.01, 0.5)
        wait = self.multi.timeout()  # milliseconds until libcurl wants to be called
        if wait >= 0:
            pause = min(pause, wait / 1000)
        if pause and self.multi.select(pause) == -1:
            time.sleep(min(pause, 0.005))  # nothing to watch yet: a name is being looked up

    def _ended(self) -> list[tuple[Any, tuple[int, str] | None]]:
        ended: list[tuple[Any, tuple[int, str] | None]] = []
        while True:
            left, good, bad = self.multi.info_read()
            ended += ((curl, None) for curl in good)
            ended += ((curl, (code, text)) for curl, code, text in bad)
            if not left:
                return ended

    def _put_back(self, curl: Any) -> None:
        self.multi.remove_handle(curl)
        curl.reset()
        self.idle.append(curl)


def _prepare(curl: Any, request: Request, transfer: Transfer, *, timeout_seconds: float) -> None:
    for text in (request.url, *request.headers):
        if CONTROL.search(text):
            raise ValueError("a URL or header must not contain control characters")
    if not request.url.startswith(("https://", "http://") if request.plain else "https://"):
        raise ValueError("only https leaves the house")
    curl.setopt(pycurl.URL, request.url)
    curl.setopt(pycurl.PROTOCOLS, pycurl.PROTO_HTTPS | (pycurl.PROTO_HTTP if request.plain else 0))
    curl.setopt(pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_2TLS)
    curl.setopt(pycurl.FOLLOWLOCATION, 0)
    curl.setopt(pycurl.PROXY, "")
    curl.setopt(pycurl.NOSIGNAL, 1)
    curl.setopt(
        pycurl.CONNECTTIMEOUT_MS, int(min(LONGEST_CONNECT_SECONDS, timeout_seconds) * 1000)
    )
    curl.setopt(pycurl.TIMEOUT_MS, int(timeout_seconds * 1000))
    curl.setopt(pycurl.HTTPHEADER, [*request.headers, "Expect:"])
    if settings.CA_FILE:
        curl.setopt(pycurl.CAINFO_BLOB, trusted_certificates())
    if request.method == "POST":
        # The body comes from a reader that cannot be rewound. libcurl repeats a request by itself
        # when a reused connection dies before the first byte of the answer; a provider may have
        # acted on it by then. With this reader the repetition fails instead (seen in 8.23).
        curl.setopt(pycurl.POST, 1)
        curl.setopt(pycurl.POSTFIELDSIZE, len(request.body))
        curl.setopt(pycurl.READFUNCTION, io.BytesIO(request.body).read)
    else:
        curl.setopt(pycurl.CUSTOMREQUEST, request.method)
    curl.setopt(pycurl.HEADERFUNCTION, transfer.take_header)
    curl.setopt(pycurl.WRITEFUNCTION, transfer.take_body)
    if request.compressed:
        curl.setopt(pycurl.ACCEPT_ENCODING, "gzip, deflate")
        curl.setopt(pycurl.MAXFILESIZE, transfer.most_bytes)  # what comes over the wire


def _pin(curl: Any, request: Request) -> None:
    """Connect to the given addresses; name, certificate and Host stay those of the URL."""
    if not request.addresses:
        return
    parts = urlsplit(request.url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    known = {ip_address(address) for address in request.addresses}
    listed = ",".join(f"[{one}]" if one.version == 6 else str(one) for one in known)
    if ":" not in (parts.hostname or ""):  # an IPv6 is its own address
        # "+": forgotten after a minute like any other name, or this list would only ever grow.
        curl.setopt(pycurl.RESOLVE, [f"+{parts.hostname}:{port}:{listed}"])

    def open_socket(purpose: int, place: Any) -> Any:
        """The second wall: no connection to anywhere else, should libcurl ask a resolver."""
        family, kind, protocol, address = place
        if ip_address(address[0]) not in known:
            return pycurl.SOCKET_BAD
        return socket.socket(family, kind, protocol)

    curl.setopt(pycurl.OPENSOCKETFUNCTION, open_socket)


def _answer(curl: Any, transfer: Transfer, error: tuple[int, str] | None) -> Response | NoAnswer:
    if error is None:
        status = int(curl.getinfo(pycurl.RESPONSE_CODE))
        return Response(status, transfer.headers, bytes(transfer.body))
    code, _ = error
    if code in {pycurl.E_WRITE_ERROR, pycurl.E_FILESIZE_EXCEEDED}:
        return NoAnswer("answer_too_large", sent=True)
    if code == pycurl.E_OPERATION_TIMEDOUT:
        return NoAnswer(TIMEOUT, sent=not _never_began(curl))
    if code in NEVER_SENT:
        return NoAnswer("connection_failed", sent=False)
    return NoAnswer("connection_broke", sent=not _never_began(curl))


def _never_began(curl: Any) -> bool:
    """Whether no byte of the request was handed to a connection."""
    return not curl.getinfo(pycurl.PRETRANSFER_TIME) and not curl.getinfo(pycurl.REQUEST_SIZE)


def retry_after_seconds(response: Response, *, now: datetime) -> float | None:
    """How long the server asks us to wait, as a number of seconds or a date; at most a day."""
    text = response.headers.get("retry-after", "")
    try:
        seconds = float(text) if text.isdecimal() else _until(text, now)
    except (ValueError, OverflowError):
        return None
    return min(max(seconds, 0.0), LONGEST_RETRY_AFTER_SECONDS)


def _until(text: str, now: datetime) -> float:
    moment = parsedate_to_datetime(text)
    return (moment.replace(tzinfo=moment.tzinfo or UTC) - now).total_seconds()


_trusted: dict[str, bytes] = {}


def trusted_certificates() -> bytes:
    """PEM of the system's authorities and those of CA_FILE."""
    path = settings.CA_FILE
    if path not in _trusted:
        system = ssl.create_default_context().get_ca_certs(binary_form=True)
        known = "".join(ssl.DER_cert_to_PEM_cert(certificate) for certificate in system)
        _trusted[path] = known.encode() + Path(path).read_bytes()
    return _trusted[path]
