"""The door for URLs that others chose: webhooks, push endpoints, feeds. It leads outside only.

https on a usual port, a name that is one, looked up once; every address it has must be public, and
the connection goes to those addresses and to no other. On top of `engage.lib.http`: no redirects,
no proxies, bounded time and size. ENGAGE_PRIVATE_HOSTS names exceptions.
"""

import re
import socket
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Final

from django.conf import settings

from engage.lib.http import Door, NoAnswer, Request, Response

PORTS: Final = frozenset({443, 80, 8443})
LONGEST_IDLE_SECONDS: Final = 3.0  # some servers close a connection after five
LONGEST_LOOK_UP_SECONDS: Final = 5.0  # of one name; at most half of the time there is
# One strict reading of a URL, and libcurl gets it put together anew: two parsers that see
# different hosts in it are the classic hole. No userinfo, no backslash, no escapes in the host.
URL: Final = re.compile(
    r"(?P<scheme>https?)://(?P<host>\[[0-9a-f]*:[0-9a-f:.]*\]|[a-z0-9.-]+)(?::(?P<port>\d{1,5}))?"
    r"(?P<rest>(?:[/?][!-\[\]-~]*)?)",
    re.IGNORECASE,
)
LABEL: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
NUMBER: Final = re.compile(r"\d+|0x[0-9a-f]*")  # a last label like this is an IPv4 in disguise
INSIDE: Final = ("localhost", "local", "internal", "intranet", "lan", "home", "corp", "arpa")

# IANA's special-purpose registry, read 2026-11, and what clouds answer themselves. `is_global` and
# `is_private` are wrong about several of these, and differ between versions of Python.
NOT_PUBLIC_V4: Final = [
    ip_network(network)
    for network in (
        "0.0.0.0/8",  # this network
        "10.0.0.0/8",  # private
        "100.64.0.0/10",  # shared by a provider's customers; a cloud's metadata
        "127.0.0.0/8",  # this host
        "168.63.129.16/32",  # a public number that is Azure's metadata
        "169.254.0.0/16",  # link-local, metadata
        "172.16.0.0/12",  # private
        "192.0.0.0/24",  # protocol assignments; a cloud's metadata
        "192.0.2.0/24",  # documentation
        "192.31.196.0/24",  # AS112
        "192.52.193.0/24",  # multicast tunnels
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",  # private
        "192.175.48.0/24",  # AS112
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, broadcast
    )
]
# All else is no unicast of the internet: ::1, mapped and compatible IPv4, NAT64 (so a network that
# has nothing but NAT64 cannot be used), unique local, link-local, site-local, multicast.
UNICAST_V6: Final = ip_network("2000::/3")
NOT_PUBLIC_V6: Final = [
    ip_network(network)
    for network in (
        "2001::/23",  # protocol assignments: Teredo, ORCHID, benchmarks
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4: an IPv4 inside
        "2620:4f:8000::/48",  # AS112
        "3fff::/20",  # documentation
    )
]

Resolve = Callable[[str, int], Iterable[str]]


class UrlNotAllowed(ValueError):
    """The sentence says why, for whoever typed the URL."""


@dataclass(frozen=True, slots=True)
class Forbidden:
    """Nothing was sent, and it never will be."""

    reason: str


@dataclass(frozen=True, slots=True)
class Place:
    """What a URL leads to. `private`: the operator named it, so any address will do."""

    url: str
    host: str
    port: int
    private: bool


def read_url(url: str) -> Place:
    """Raises UrlNotAllowed. Nothing is looked up: what a name means is judged at each call."""
    found = URL.fullmatch(url)
    if found is None:
        raise UrlNotAllowed(
            "expected https://host/path in plain characters, without a user"
            " (a name with other letters as xn--…)"
        )
    scheme, host = found["scheme"].lower(), found["host"].lower()
    port = int(found["port"] or (443 if scheme == "https" else 80))
    private = not {(host.strip("[]"), port), (host.strip("[]"), 0)}.isdisjoint(
        settings.PRIVATE_HOSTS
    )
    if not private:
        _check_public_name(scheme, host)
    if port not in PORTS and (host.strip("[]"), port) not in settings.PRIVATE_HOSTS:
        raise UrlNotAllowed(f"port {port} is not allowed, only {sorted(PORTS)}")
    rest = found["rest"].partition("#")[0]
    slash = "" if rest.startswith("/") else "/"
    return Place(f"{scheme}://{host}:{port}{slash}{rest}", host.strip("[]"), port, private)


def is_public(address: str) -> bool:
    """Whether it is on the internet and nowhere else. What is no address is not."""
    try:
        read = ip_address(address)
    except ValueError:
        return False
    if isinstance(read, IPv6Address):
        return read in UNICAST_V6 and not any(read in network for network in NOT_PUBLIC_V6)
    return not any(read in network for network in NOT_PUBLIC_V4)


def resolve(host: str, port: int) -> Iterable[str]:
    """Every address of the name, by the system's resolver."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
    return [str(entry[4][0]) for entry in found]


class OutboundDoor:
    """Like `Door`, for URLs that are not ours. Not for use by several threads."""

    def __init__(self, *, connections_per_host: int = 4, resolve: Resolve = resolve) -> None:
        self.door = Door(
            connections_per_host=connections_per_host,
            patient=False,
            longest_idle_seconds=LONGEST_IDLE_SECONDS,
        )
        self.resolve = resolve

    def fetch(
        self, requests: Sequence[Request], *, timeout_seconds: float, most_bytes: int = 65_536
    ) -> list[Response | NoAnswer | Forbidden]:
        """Make all requests at once; answers in their order, all of them before the timeout."""
        deadline = time.monotonic() + timeout_seconds
        places = [_read(request.url) for request in requests]
        names = {(place.host, place.port) for place in places if isinstance(place, Place)}
        found = self._look_up(names, seconds=min(LONGEST_LOOK_UP_SECONDS, timeout_seconds / 2))
        ready = [
            _pinned(request, place, found) for request, place in zip(requests, places, strict=True)
        ]
        allowed = [one for one in ready if isinstance(one, Request)]
        left = max(deadline - time.monotonic(), 0.1)
        answers = iter(self.door.fetch(allowed, timeout_seconds=left, most_bytes=most_bytes))
        return [next(answers) if isinstance(one, Request) else one for one in ready]

    def close(self) -> None:
        self.door.close()

    def _look_up(
        self, names: Iterable[tuple[str, int]], *, seconds: float
    ) -> dict[tuple[str, int], list[str]]:
        """The addresses of those that could be looked up in time.

        In threads, because a resolver cannot be told when to end; one that hangs is left behind.
        """
        deadline = time.monotonic() + seconds
        found: dict[tuple[str, int], list[str]] = {}

        def ask(name: tuple[str, int]) -> None:
            try:
                found[name] = list(dict.fromkeys(self.resolve(*name)))
            except (OSError, UnicodeError):
                found[name] = []

        threads = [threading.Thread(target=ask, args=(name,), daemon=True) for name in names]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(max(deadline - time.monotonic(), 0.0))
        return dict(found)


def _read(url: str) -> Place | Forbidden:
    try:
        return read_url(url)
    except UrlNotAllowed:
        return Forbidden("url_not_allowed")


def _pinned(
    request: Request, place: Place | Forbidden, found: dict[tuple[str, int], list[str]]
) -> Request | NoAnswer | Forbidden:
    """The request bound to the addresses its name has now."""
    if isinstance(place, Forbidden):
        return place
    addresses = found.get((place.host, place.port))
    if not addresses:
        return NoAnswer("name_not_found", sent=False)
    if not place.private and not all(is_public(address) for address in addresses):
        return Forbidden("address_not_public")
    return replace(request, url=place.url, addresses=addresses, plain=place.private)


def _check_public_name(scheme: str, host: str) -> None:
    if scheme != "https":
        raise UrlNotAllowed("only https is allowed")
    if host.startswith("["):
        if not is_public(host.strip("[]")):
            raise UrlNotAllowed("this address is not a public one")
        return
    labels = host.split(".")
    if len(host) > 253 or not all(LABEL.fullmatch(label) for label in labels):
        raise UrlNotAllowed("this is no name of a host")
    if NUMBER.fullmatch(labels[-1]):
        if not is_public(host):  # nor is any other spelling than four plain numbers
            raise UrlNotAllowed("this address is not a public one")
    elif len(labels) == 1 or labels[-1] in INSIDE:
        raise UrlNotAllowed("this name is not a public one")
