"""Is it our web server that answers, and which port is free for it."""

import errno
import http.client
import socket
import sys
from contextlib import closing, suppress

from engage.runner.errors import StartFailed

PORTS_TRIED = 20
TIMEOUT_SECONDS = 5.0
INSTANCE_HEADER = "X-Engage-Instance"


def find_instance(host: str, port: int) -> str | None:
    """Which start of Engage answers on the port: "" for a stranger, None when nobody does."""
    connection = http.client.HTTPConnection(reachable(host), port, timeout=TIMEOUT_SECONDS)
    with closing(connection):
        try:
            connection.request("GET", "/healthz", headers={"Host": f"localhost:{port}"})
            return connection.getresponse().getheader(INSTANCE_HEADER, "")
        except ConnectionRefusedError:
            return None
        except (OSError, http.client.HTTPException):
            return ""


def is_ours(host: str, port: int, *, nonce: str) -> bool:
    """An open port proves nothing: it may be somebody else's, or left from an earlier start."""
    return bool(nonce) and find_instance(host, port) == nonce


def claim_port(host: str, wanted: int) -> tuple[int, socket.socket | None]:
    """A free port, and what keeps other starts of Engage off it as long as it is open.

    The web server opens its port so that others of the same user may open it as well: two starts
    at the same moment would share it, and each would get some of the other's events.
    """
    port = find_free_port(host, wanted)
    if sys.platform != "linux":
        return port, None
    while True:
        claim = socket.socket(socket.AF_UNIX)
        with suppress(OSError):
            claim.bind(f"\0engage-port-{port}")  # a name without a file; it goes with the socket
            return port, claim
        claim.close()
        port = find_free_port(host, port + 1)


def find_free_port(host: str, wanted: int) -> int:
    """`wanted`, else one of the next, else any.

    Raises
    ------
    StartFailed
        If `host` is no address of this machine, or the port is kept for root.
    """
    any_port(host)
    for port in range(wanted, min(wanted + PORTS_TRIED, 65536)):
        if is_free(host, port):
            return port
    return any_port(host)


def any_port(host: str) -> int:
    with closing(socket.socket(family_of(host))) as probe:
        try:
            probe.bind((host, 0))
        except OSError as exc:
            raise StartFailed(
                f"ENGAGE_HOST is {host!r}, which is no address of this machine: take 127.0.0.1, "
                "or 0.0.0.0 to be reached from others."
            ) from exc
        return int(probe.getsockname()[1])


def is_free(host: str, port: int) -> bool:
    """Also on the other meaning of "localhost", where a browser may look first."""
    if not can_bind(host, port):
        return False
    return host != "127.0.0.1" or can_bind("::1", port)


def can_bind(host: str, port: int) -> bool:
    with closing(socket.socket(family_of(host))) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except PermissionError as exc:
            raise StartFailed(
                f"ENGAGE_PORT is {port}, which this user may not open: take 1024 or more."
            ) from exc
        except OSError as exc:
            return exc.errno != errno.EADDRINUSE
    return True


def family_of(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def reachable(host: str) -> str:
    """An address to connect to, for one to listen on."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104
