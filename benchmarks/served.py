"""The real web server on a free port, with one more door: an empty view, the yardstick."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
EMPTY = "/v1/empty"  # among the doors for machines: no middleware, as they
READY_SECONDS = 30.0
SERVER_CORE = 0


@contextmanager
def served(*, threads: int = 1) -> Iterator[int]:
    """The port of one granian worker that keeps to one core."""
    port = _free_port()
    command = [
        *(sys.executable, "-m", "granian", "--interface", "wsgi", "--host", "127.0.0.1"),
        *("--port", str(port), "--workers", "1", "--blocking-threads", str(threads)),
        *("--log-level", "warning", "engage.wsgi:application"),
    ]
    server = subprocess.Popen(
        command,
        cwd=ROOT,
        env=os.environ | {"DJANGO_SETTINGS_MODULE": "benchmarks.served_settings"},
    )
    try:
        _wait_for(port, server)
        _keep_to_core(server.pid)
        yield port
    finally:
        server.terminate()
        try:
            server.wait(timeout=10)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def _wait_for(port: int, server: "subprocess.Popen[bytes]") -> None:
    end = time.monotonic() + READY_SECONDS
    question = f"GET {EMPTY} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()
    while time.monotonic() < end and server.poll() is None:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1) as link:
                link.sendall(question)
                if link.recv(1024).startswith(b"HTTP/1.1 200"):
                    return
        except OSError:
            time.sleep(0.05)
    raise SystemExit(f"the web server did not answer on port {port}")


def _keep_to_core(pid: int) -> None:
    """The server and its workers on one core; the client of `http_load` takes another."""
    if not hasattr(os, "sched_setaffinity") or len(os.sched_getaffinity(0)) < 2:
        return
    for one in [pid, *_children(pid)]:
        for thread in Path(f"/proc/{one}/task").iterdir():
            os.sched_setaffinity(int(thread.name), {SERVER_CORE})


def _children(pid: int) -> list[int]:
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(one) for one in found]


def _free_port() -> int:
    with socket.socket() as link:
        link.bind(("127.0.0.1", 0))
        return int(link.getsockname()[1])
