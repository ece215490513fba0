"""The door for outgoing HTTP: many requests at once over few connections, each made at most once.

TLS only, HTTP/2 where the server speaks it, no redirects, no proxies, bounded time and answers.
"""

import hashlib
import io
import os
import re
import socket
import ssl
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
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
# What libcurl says of a stream that the server disowned: by REFUSED_STREAM, or by a GOAWAY that
# names an earlier one as the last. Its error is the one of a broken connection (seen in 8.23).
REFUSED_STREAM: Final = b"refused by server"
DISOWNED: Final = "disowned"  # the reason of a `NoAnswer` then: another connection will do
TIMEOUT: Final = "timeout"  # the reason of a `NoAnswer` that had all its time
# Answers to many requests come in a row, and to look for one costs more than to take it. A rest
# lets them gather: a quarter of the time that they took so far, within these bounds.
SHORTEST_REST_SECONDS = 0.002
LONGEST_REST_SECONDS = 0.02
Kind = tuple[str, bool, bool, int]  # of requests: method, plain, compressed, most bytes
# What a server may send of an answer before it is asked for more. libcurl asks at once, with two
# frames for each request, unless a transfer is limited to so many bytes a second (seen in 8.23).
WINDOW_BYTES = 65_535
GRACE_SECONDS = 1.0  # after the deadline, for libcurl to notice it by itself
LAST_LOOKS = 3  # of streams on one connection, the first may find what is for the others


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


class Transfer:
    """A handle of libcurl with one request after the other, and what came back so far.

    What does not change from one request to the next stays set: that is most of it.
    """

    def __init__(self, *, patient: bool) -> None:
        self.curl = pycurl.Curl()
        self.patient = patient
        self.kind: Kind | None = None  # of requests, for which the handle is set up
        self.url = ""
        self.headers: list[str] = []
        self.index = 0
        self.most_bytes = 0
        self.lines: list[bytes] = []
        self.body = bytearray()
        self.told: list[bytes] = []  # by libcurl of what it does

    def begin(
        self, request: Request, index: int, *, timeout_seconds: float, most_bytes: int
    ) -> None:
        self.index, self.most_bytes = index, most_bytes
        kind = (request.method, request.plain, request.compressed, most_bytes)
        if kind != self.kind or request.addresses:
            self._set_up(kind)
            _pin(self.curl, request)
        if request.url != self.url:
            self.curl.setopt(pycurl.URL, request.url)
            self.url = request.url
        if request.headers != self.headers:
            self.headers = list(request.headers)
            self.curl.setopt(pycurl.HTTPHEADER, [*self.headers, "Expect:"])
        if request.method == "POST":
            # The body comes from a reader that cannot be rewound. libcurl repeats a request by
            # itself when a reused connection dies before the first byte of the answer; a provider
            # may have acted on it by then. With this reader the repetition fails instead (seen in
            # 8.23).
            self.curl.setopt(pycurl.POSTFIELDSIZE, len(request.body))
            self.curl.setopt(pycurl.READFUNCTION, io.BytesIO(request.body).read)
        connect_seconds = min(LONGEST_CONNECT_SECONDS, timeout_seconds)
        self.curl.setopt(pycurl.CONNECTTIMEOUT_MS, int(connect_seconds * 1000))
        self.curl.setopt(pycurl.TIMEOUT_MS, int(timeout_seconds * 1000))

    def _set_up(self, kind: Kind) -> None:
        curl, (method, plain, compressed, most_bytes) = self.curl, kind
        curl.reset()
        self.kind, self.url, self.headers = kind, "", []
        curl.setopt(pycurl.PROTOCOLS, pycurl.PROTO_HTTPS | (pycurl.PROTO_HTTP if plain else 0))
        curl.setopt(pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_2TLS)
        curl.setopt(pycurl.FOLLOWLOCATION, 0)
        curl.setopt(pycurl.PROXY, "")
        curl.setopt(pycurl.NOSIGNAL, 1)
        curl.setopt(pycurl.PIPEWAIT, int(self.patient))
        curl.setopt(pycurl.HTTPHEADER, ["Expect:"])
        if settings.CA_FILE:
            curl.setopt(pycurl.CAINFO, trusted_certificates(settings.CA_FILE))
        if method == "POST":
            curl.setopt(pycurl.POST, 1)
        else:
            curl.setopt(pycurl.CUSTOMREQUEST, method)
        curl.setopt(pycurl.MAX_RECV_SPEED_LARGE, max(most_bytes, WINDOW_BYTES))
        curl.setopt(pycurl.VERBOSE, 1)
        # Called with a kind and a text, some twenty times: nothing that takes both is cheaper.
        curl.setopt(pycurl.DEBUGFUNCTION, self.told.insert)
        curl.setopt(pycurl.HEADERFUNCTION, self.lines.append)
        curl.setopt(pycurl.WRITEFUNCTION, self.take_body)
        if compressed:
            curl.setopt(pycurl.ACCEPT_ENCODING, "gzip, deflate")
            curl.setopt(pycurl.MAXFILESIZE, most_bytes)  # what comes over the wire

    def take_body(self, chunk: bytes) -> int | None:
        if len(self.body) + len(chunk) > self.most_bytes:
            return -1  # libcurl ends the transfer
        self.body += chunk
        return None

    def answer(self, error: tuple[int, str] | None) -> Response | NoAnswer:
        """What came of the request; the handle is free for the next one then."""
        try:
            return self._answer(error)
        finally:
            self.lines.clear()
            self.body.clear()
            self.told.clear()

    def _answer(self, error: tuple[int, str] | None) -> Response | NoAnswer:
        if error is None:
            status = self.curl.getinfo(pycurl.RESPONSE_CODE)
            return Response(status, read_headers(self.lines), bytes(self.body))
        code, _ = error
        if code in {pycurl.E_WRITE_ERROR, pycurl.E_FILESIZE_EXCEEDED}:
            return NoAnswer("answer_too_large", sent=True)
        if code == pycurl.E_OPERATION_TIMEDOUT:
            return NoAnswer(TIMEOUT, sent=not self.never_began())
        if code in NEVER_SENT:
            return NoAnswer("connection_failed", sent=False)
        if code == pycurl.E_SEND_FAIL_REWIND and self._is_disowned():
            return NoAnswer(DISOWNED, sent=False)
        return NoAnswer("connection_broke", sent=not self.never_began())

    def _is_disowned(self) -> bool:
        """Whether the server said that it did not and will not handle the request."""
        return not self.lines and any(REFUSED_STREAM in text for text in self.told)

    def never_began(self) -> bool:
        """Whether no byte of the request was handed to a connection.

        What only waited for its turn has times of its end, but never had a connection.
        """
        info = self.curl.getinfo
        alone = not info(pycurl.PRETRANSFER_TIME) or info(pycurl.LOCAL_PORT) <= 0
        return alone and not info(pycurl.REQUEST_SIZE)


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
        self.idle: list[Transfer] = []

    def fetch(
        self, requests: Sequence[Request], *, timeout_seconds: float, most_bytes: int = 65_536
    ) -> list[Response | NoAnswer]:
        """Make all requests at once; answers in their order, all of them before the timeout."""
        started = time.monotonic()
        deadline = started + timeout_seconds
        if started - self.used_at > self.longest_idle_seconds:
            self._begin_anew()
        _check(requests)
        try:
            answers = self._carry(requests, started, deadline, most_bytes)
        except BaseException:  # nothing of this call may go on in the next
            self._begin_anew()
            raise
        if any(isinstance(answer, NoAnswer) and answer.sent for answer in answers):
            # A broken connection, or one into a black hole, is kept by libcurl for a while; the
            # next requests would end on it with nobody knowing (seen in 8.23).
            self._begin_anew()
        self.used_at = time.monotonic()
        return answers

    def close(self) -> None:
        for transfer in self.idle:
            transfer.curl.close()
        self.idle.clear()
        self.multi.close()

    def _carry(
        self, requests: Sequence[Request], started: float, deadline: float, most_bytes: int
    ) -> list[Response | NoAnswer]:
        answers: list[Response | NoAnswer | None] = [None] * len(requests)
        under_way: dict[Any, Transfer] = {}
        for index, request in enumerate(requests):
            transfer = self.idle.pop() if self.idle else Transfer(patient=self.patient)
            transfer.begin(
                request, index, timeout_seconds=deadline - started, most_bytes=most_bytes
            )
            under_way[transfer.curl] = transfer
            self.multi.add_handle(transfer.curl)
        while under_way and time.monotonic() < deadline + GRACE_SECONDS:
            self._drive(deadline)
            self._collect(under_way, answers)
            if len(under_way) > 1:
                _let_gather(time.monotonic() - started)
        # libcurl ends what is too late before it looks whether an answer has come. Where this
        # process stood still meanwhile, one may have; nothing begins any more.
        for curl, transfer in under_way.items():
            if not transfer.never_began():
                curl.setopt(pycurl.TIMEOUT_MS, 0)
        for _ in range(LAST_LOOKS if under_way else 0):
            self._drive(deadline)
            self._collect(under_way, answers)
        for curl, transfer in under_way.items():
            answers[transfer.index] = NoAnswer(TIMEOUT, sent=not transfer.never_began())
            self.multi.remove_handle(curl)
            curl.close()
        return [answer for answer in answers if answer is not None]

    def _collect(
        self, under_way: dict[Any, Transfer], answers: list[Response | NoAnswer | None]
    ) -> None:
        for curl, error in self._ended():
            transfer = under_way.pop(curl)
            answers[transfer.index] = transfer.answer(error)
            self.multi.remove_handle(curl)
            self.idle.append(transfer)

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


def _let_gather(seconds: float) -> None:
    time.sleep(min(max(seconds / 4, SHORTEST_REST_SECONDS), LONGEST_REST_SECONDS))


def _check(requests: Sequence[Request]) -> None:
    """Before any is begun. Most have headers in common, which are looked at once."""
    for text in {text for request in requests for text in (request.url, *request.headers)}:
        if CONTROL.search(text):
            raise ValueError("a URL or header must not contain control characters")
    for request in requests:
        if not request.url.startswith(("https://", "http://") if request.plain else "https://"):
            raise ValueError("only https leaves the house")


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


def read_headers(lines: Iterable[bytes]) -> dict[str, str]:
    """Of all lines that came, those of the status among them; the last of a name counts."""
    headers = {}
    for line in lines:
        name, colon, value = line.decode("latin-1").partition(":")
        if colon:
            headers[name.strip().lower()] = value.strip()
    return headers


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


@lru_cache(maxsize=10)
def trusted_certificates(path: str) -> str:
    """A file in the data folder with the system's authorities and those of the file; its path.

    Given as a path, libcurl reads it once for all connections of a door; given as bytes, it would
    copy and compare them for every request. The file is named after what is in it.
    """
    system = ssl.create_default_context().get_ca_certs(binary_form=True)
    known = "".join(ssl.DER_cert_to_PEM_cert(certificate) for certificate in system)
    content = known.encode() + Path(path).read_bytes()
    folder = settings.DATA_DIR / "trusted"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    kept = folder / f"{hashlib.sha256(content).hexdigest()[:16]}.pem"
    fresh = kept.with_suffix(f".{os.getpid()}.{threading.get_ident()}")  # many may begin at once
    fresh.write_bytes(content)
    fresh.replace(kept)
    return str(kept)
