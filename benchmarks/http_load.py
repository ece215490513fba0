"""A closed-loop HTTP client over raw keep-alive sockets: too cheap to be what is measured."""

import os
import selectors
import socket
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Load:
    per_second: float
    p50_us: float
    p99_us: float
    failures: int  # answers other than 200
    first_failure: str = ""


def request(path: str, body: bytes | None = None, *, headers: Sequence[str] = ()) -> bytes:
    """The bytes of one request: POST when there is a body."""
    method = "GET" if body is None else "POST"
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", *headers]
    if body is not None:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode() + (body or b"")


def measure(
    port: int, requests: Sequence[bytes], *, connections: int, seconds: float, core: int | None = 1
) -> Load:
    """Send the requests round and round for so long, each connection one at a time.

    `core`: the processor this client keeps to, so that the server has its own; None: any.
    """
    before = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()
    if core in before and len(before) > 1:
        os.sched_setaffinity(0, {core})
    try:
        return _Loop(port, requests, connections).run(seconds)
    finally:
        if before:
            os.sched_setaffinity(0, before)


class _Loop:
    def __init__(self, port: int, requests: Sequence[bytes], connections: int) -> None:
        self.requests = requests
        self.next = 0
        self.times: list[float] = []
        self.failures = 0
        self.first_failure = ""
        self.selector = selectors.DefaultSelector()
        self.started: dict[socket.socket, float] = {}
        self.received: dict[socket.socket, bytes] = {}
        for _ in range(connections):
            link = socket.create_connection(("127.0.0.1", port), timeout=10)
            link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.selector.register(link, selectors.EVENT_READ)
            self.received[link] = b""

    def run(self, seconds: float) -> Load:
        start = time.perf_counter()
        end = start + seconds
        for link in self.received:
            self.send(link)
        while (now := time.perf_counter()) < end:
            for key, _ in self.selector.select(timeout=1.0):
                self.take(key.fileobj)
        for link in self.received:
            link.close()
        self.selector.close()
        ordered = sorted(self.times) or [0.0]
        return Load(
            per_second=len(self.times) / (now - start),
            p50_us=statistics.median(ordered) * 1e6,
            p99_us=ordered[int(len(ordered) * 0.99)] * 1e6,
            failures=self.failures,
            first_failure=self.first_failure,
        )

    def send(self, link: socket.socket) -> None:
        body = self.requests[self.next % len(self.requests)]
        self.next += 1
        self.started[link] = time.perf_counter()
        link.sendall(body)

    def take(self, link: socket.socket) -> None:
        data = self.received[link] + link.recv(262_144)
        if not _is_whole(data):
            self.received[link] = data
            return
        self.received[link] = b""
        self.times.append(time.perf_counter() - self.started[link])
        if not data.startswith(b"HTTP/1.1 200"):
            self.failures += 1
            self.first_failure = self.first_failure or data.decode(errors="replace")
        self.send(link)


def _is_whole(data: bytes) -> bool:
    head, end, body = data.partition(b"\r\n\r\n")
    if not end:
        return False
    at = head.lower().find(b"content-length:")
    if at < 0:  # in chunks
        return body.endswith(b"0\r\n\r\n")
    return len(body) >= int(head[at + 15 :].split(b"\r\n", 1)[0])
