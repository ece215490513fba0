"""Is it our web server that answers, and which port is free for it."""

import errno
import http.client
import socket
from contextlib import closing

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


def find_free_port(host: str, wanted: int) -> int:
    """`wanted`, else one of the next, else any."""
    for port in range(wanted, min(wanted + PORTS_TRIED, 65536)):
        if is_free(host, port):
            return port
    with closing(socket.socket(family_of(host))) as probe:
        probe.bind((host, 0))
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
        except OSError as exc:
            return exc.errno not in {errno.EADDRINUSE, errno.EACCES}
    return True


def family_of(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def reachable(host: str) -> str:
    """An address to connect to, for one to listen on."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104
