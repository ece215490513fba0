import gzip
import socket
import threading
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engage.lib import outbound
from engage.lib.http import Door, NoAnswer, Request, Response
from engage.lib.outbound import Forbidden, OutboundDoor, UrlNotAllowed, is_public, read_url
from tests.providers.certificates import make_certificates
from tests.providers.http1 import Answer, HttpServer

NOT_PUBLIC = [
    "0.0.0.0", "10.0.0.1", "100.64.0.1", "100.100.100.200", "127.0.0.1", "127.255.255.254",
    "168.63.129.16", "169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.0.8",
    "192.0.0.192", "192.0.2.1", "192.31.196.1", "192.52.193.1", "192.88.99.1", "192.168.1.1",
    "192.175.48.1", "198.18.0.1", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.1.1.1",
    "240.0.0.1", "255.255.255.255",
    "::", "::1", "::127.0.0.1", "::8.8.8.8", "::ffff:127.0.0.1", "::ffff:10.0.0.1",
    "::ffff:8.8.8.8", "64:ff9b::7f00:1", "64:ff9b::808:808", "64:ff9b:1::1", "100::1",
    "2001::1", "2001:0:7f00:1::", "2001:10::1", "2001:20::1", "2001:db8::1", "2002:7f00:1::",
    "2002:a00:1::", "2620:4f:8000::1", "3fff::1", "5f00::1", "fc00::1", "fd00:ec2::254",
    "fe80::1", "fe80::1%eth0", "fec0::1", "ff02::1",
    "", "localhost", "2130706433", "0x7f000001", "0177.0.0.1", "127.1", "1.2.3.4.5",
]  # fmt: skip
PUBLIC = [
    "1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0",
    "126.255.255.255", "172.15.255.255", "172.32.0.0", "192.0.1.1", "223.255.255.255",
    "2606:4700:4700::1111", "2a00:1450::1", "2001:4860:4860::8888", "2003::1",
]  # fmt: skip
ODD_URLS = [
    "", "shop.example", "//shop.example/", "ftp://shop.example/", "file:///etc/passwd",
    "http://shop.example/", "https://", "https:///path", "https:/shop.example",
    "https://ann@shop.example/", "https://ann:pw@shop.example/", "https://shop.example@127.0.0.1/",
    "https://shop.example\\@127.0.0.1/", "https://127.0.0.1\\@shop.example/",
    "https://shop.example%5c@127.0.0.1/", "https://shop.example%2f@127.0.0.1/",
    "https://127.0.0.1#@shop.example/", "https://127.0.0.1?@shop.example/",
    "https://shop.example /", " https://shop.example/", "https://shop.example/\n",
    "https://shop.example/a b", "https://shop.example/a\\b", "https://shop.example/é",
    "https://shop.example:22/", "https://shop.example:0/", "https://shop.example:99999/",
    "https://shop.example:/", "https://shop.example:443:80/",
    "https://2130706433/", "https://0x7f000001/", "https://0x7f.1/", "https://017700000001/",
    "https://0177.0.0.1/", "https://127.1/", "https://127.0.0.0x1/", "https://127.0.0.1/",
    "https://0/", "https://1.2.3/", "https://1.2.3.256/", "https://169.254.169.254/latest",
    "https://127.0.0.1./", "https://localhost./", "https://shop.example./", "https://shop..example/",
    "https://-shop.example/", "https://.shop.example/", "https://localhost/",
    "https://metadata/", "https://metadata.google.internal/", "https://printer.local/",
    "https://a.localhost/", "https://1.0.0.127.in-addr.arpa/",
    "https://[::1]/", "https://[::ffff:127.0.0.1]/", "https://[64:ff9b::7f00:1]/",
    "https://[fe80::1%25eth0]/", "https://[::1/", "https://[1.2.3.4]/", "https://[]/",
    "https://ｌｏｃａｌｈｏｓｔ/", "https://①②⑦.0.0.1/", "https://müller.example/",
    "https://shop。example/", "https://" + "a" * 64 + ".example/",
    "https://" + "a." * 130 + "example/",
]  # fmt: skip


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_an_address_that_is_not_of_the_internet_is_not_public(address):
    assert not is_public(address)


@pytest.mark.parametrize("address", PUBLIC)
def test_the_neighbours_of_special_networks_are_public(address):
    assert is_public(address)


@pytest.mark.parametrize("url", ODD_URLS)
def test_an_odd_url_is_refused_and_nothing_looked_up(url):
    looked_up = []
    door = OutboundDoor(resolve=lambda host, port: looked_up.append(host) or ["8.8.8.8"])
    assert door.fetch([Request(url=url, body=b"")], timeout_seconds=1) == [
        Forbidden("url_not_allowed")
    ]
    assert looked_up == []


@given(st.text("htps:/@\\?#%[].-x0127a é\t", max_size=30).map(lambda rest: f"https://{rest}"))
def test_whatever_is_read_another_parser_reads_alike(url):
    try:
        place = read_url(url)
    except UrlNotAllowed:
        return
    parts = urlsplit(place.url)
    assert (parts.hostname, parts.port, parts.username) == (place.host, place.port, None)


@pytest.mark.parametrize(
    ("url", "host", "port", "read"),
    [
        ("https://shop.example", "shop.example", 443, "https://shop.example:443/"),
        ("HTTPS://Shop.Example:8443/A?b=@c", "shop.example", 8443, None),
        ("https://shop.example?q=1#part", "shop.example", 443, "https://shop.example:443/?q=1"),
        ("https://xn--mller-kva.example/ä".replace("ä", "%C3%A4"), "xn--mller-kva.example", 443,
         "https://xn--mller-kva.example:443/%C3%A4"),
        ("https://8.8.8.8/dns", "8.8.8.8", 443, "https://8.8.8.8:443/dns"),
        ("https://[2606:4700:4700::1111]/", "2606:4700:4700::1111", 443,
         "https://[2606:4700:4700::1111]:443/"),
    ],
)  # fmt: skip
def test_a_plain_url_is_put_together_anew(url, host, port, read):
    place = read_url(url)
    expected = read or "https://shop.example:8443/A?b=@c"
    assert (place.host, place.port, place.url, place.private) == (host, port, expected, False)


@pytest.mark.parametrize(
    ("url", "allowed"),
    [
        ("http://localhost:9000/hook", True),
        ("https://localhost:9000/", True),
        ("https://localhost/", False),
        ("http://box.internal/", True),
        ("https://box.internal:8443/", True),
        ("https://box.internal:9000/", False),
        ("https://ann@box.internal/", False),
        ("http://[::1]:9001/", True),
        ("http://127.0.0.1:9000/", False),
    ],
)
def test_a_private_host_is_allowed_by_name_and_port(settings, url, allowed):
    settings.PRIVATE_HOSTS = [("localhost", 9000), ("box.internal", 0), ("::1", 9001)]
    if allowed:
        assert read_url(url).private
    else:
        with pytest.raises(UrlNotAllowed):
            read_url(url)


class Canary:
    """Counts who connects. It takes the connection and hangs up."""

    def __init__(self, host: str, *, port: int = 0) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.socket = socket.create_server((host, port), family=family, backlog=128)
        self.port = self.socket.getsockname()[1]
        self.connections = 0

    @contextmanager
    def running(self):
        thread = threading.Thread(target=self._serve, daemon=True)
        thread.start()
        yield self
        self.socket.shutdown(socket.SHUT_RDWR)
        thread.join(5)
        self.socket.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            self.connections += 1
            connection.close()


@pytest.fixture
def canary(monkeypatch):
    with Canary("127.0.0.1").running() as canary:
        monkeypatch.setattr(outbound, "PORTS", frozenset({canary.port}))
        yield canary


@pytest.fixture
def outside(monkeypatch):
    """127.0.0.2 counts as a public address: no test reaches the real outside."""
    monkeypatch.setattr(outbound, "is_public", lambda one: one == "127.0.0.2" or is_public(one))
    return "127.0.0.2"


def test_a_canary_notices_a_call_where_it_is_allowed(canary, settings):
    settings.PRIVATE_HOSTS = [("localhost", canary.port)]
    url = f"http://localhost:{canary.port}/"
    door = OutboundDoor(resolve=lambda host, port: ["127.0.0.1"])
    [answer] = door.fetch([Request(url=url, body=b"")], timeout_seconds=5)
    assert isinstance(answer, NoAnswer)
    assert canary.connections == 1


@pytest.mark.parametrize("address", [one for one in NOT_PUBLIC if one])
def test_no_name_leads_to_an_address_that_is_not_public(canary, address):
    door = OutboundDoor(resolve=lambda host, port: [address])
    url = f"https://shop.example:{canary.port}/"
    assert door.fetch([Request(url=url, body=b"")], timeout_seconds=1) == [
        Forbidden("address_not_public")
    ]
    assert canary.connections == 0


def test_one_inner_address_among_public_ones_forbids_the_name(canary):
    door = OutboundDoor(resolve=lambda host, port: ["8.8.8.8", "127.0.0.1"])
    url = f"https://shop.example:{canary.port}/"
    assert door.fetch([Request(url=url, body=b"")], timeout_seconds=1) == [
        Forbidden("address_not_public")
    ]
    assert canary.connections == 0


def test_a_name_that_changes_its_address_never_leads_inside(canary, outside):
    """A resolver with a TTL of zero: public at one look, ours at the next, 1,000 times."""
    looks = []

    def rebinding(host, port):
        looks.append(host)
        return [outside if len(looks) % 2 else "127.0.0.1"]

    door = OutboundDoor(resolve=rebinding)
    url = f"https://shop.example:{canary.port}/"
    with Canary(outside, port=canary.port).running() as public:
        answers = [
            door.fetch([Request(url=url, body=b"")], timeout_seconds=5)[0] for _ in range(1_000)
        ]
    assert answers[1::2] == [Forbidden("address_not_public")] * 500
    assert (canary.connections, public.connections, len(looks)) == (0, 500, 1_000)


def test_a_name_that_moved_is_reached_where_it_is_now(canary, monkeypatch):
    """What was pinned for the call before is not remembered against the new address."""
    monkeypatch.setattr(outbound, "is_public", lambda one: one in {"127.0.0.2", "127.0.0.3"})
    found = iter([["127.0.0.2"], ["127.0.0.3"], ["127.0.0.2"]])
    door = OutboundDoor(resolve=lambda host, port: next(found))
    request = Request(url=f"https://shop.example:{canary.port}/", body=b"")
    with (
        Canary("127.0.0.2", port=canary.port).running() as first,
        Canary("127.0.0.3", port=canary.port).running() as second,
    ):
        for _ in range(3):
            door.fetch([request], timeout_seconds=5)
    assert (first.connections, second.connections, canary.connections) == (2, 1, 0)


def test_a_socket_to_another_address_is_refused_although_libcurl_asks(canary):
    """Its list of pins says nothing about an address that stands in the URL itself."""
    url = f"http://[::ffff:127.0.0.1]:{canary.port}/"
    request = Request(url=url, body=b"", addresses=["192.0.2.1"], plain=True)
    [answer] = Door().fetch([request], timeout_seconds=5)
    assert answer == NoAnswer("connection_failed", sent=False)
    assert canary.connections == 0


@pytest.fixture
def shop(tmp_path, settings, monkeypatch, outside):
    """A web server on 127.0.0.2 that the world knows as shop.example."""
    ca_file, server_file = make_certificates(tmp_path, names=["shop.example"])
    settings.CA_FILE = str(ca_file)
    server = HttpServer(lambda asked: Answer(), server_file=server_file, host=outside)
    with server.running():
        monkeypatch.setattr(outbound, "PORTS", frozenset({server.port}))
        server.url = f"https://shop.example:{server.port}/hook"
        yield server


def ask(shop, **fields):
    door = OutboundDoor(resolve=lambda host, port: ["127.0.0.2"])
    [answer] = door.fetch([Request(url=shop.url, body=b"{}", **fields)], timeout_seconds=5)
    door.close()
    return answer


def test_a_pinned_request_keeps_the_name_in_handshake_certificate_and_host(shop):
    seen = []
    shop.handle = lambda asked: seen.append(asked) or Answer(204)
    answer = ask(shop)
    assert isinstance(answer, Response)
    assert answer.status == 204
    [asked] = seen
    assert (asked.server_name, asked.headers["host"]) == (
        "shop.example", f"shop.example:{shop.port}",
    )  # fmt: skip
    assert (asked.method, asked.path, asked.body) == ("POST", "/hook", b"{}")


def test_a_certificate_of_another_name_gets_nothing(shop):
    shop.url = shop.url.replace("shop.example", "other.example")
    assert ask(shop) == NoAnswer("connection_failed", sent=False)


@pytest.mark.parametrize("target", ["http://169.254.169.254/latest", "https://127.0.0.1:8443/"])
def test_a_redirect_is_an_answer_and_not_a_way(shop, target):
    seen = []
    shop.handle = lambda asked: (
        seen.append(asked.path) or Answer(302, headers={"Location": target})
    )
    answer = ask(shop)
    assert (answer.status, seen) == (302, ["/hook"])


def test_a_proxy_of_the_environment_is_not_asked(shop, monkeypatch):
    with Canary("127.0.0.1").running() as proxy:
        for name in ("https_proxy", "HTTPS_PROXY", "all_proxy", "http_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        assert ask(shop).status == 200
        assert proxy.connections == 0


def test_an_answer_is_bounded_before_and_after_decompression(shop):
    bomb = gzip.compress(b"0" * 10_000_000)
    for answer in (
        Answer(body=b"0" * 65_537),
        Answer(body=bomb, headers={"Content-Encoding": "gzip"}),
        Answer(body=b"1" * 65_537, headers={"Content-Encoding": "gzip"}),
    ):
        shop.handle = lambda asked, answer=answer: answer
        assert ask(shop, compressed=True) == NoAnswer("answer_too_large", sent=True)


def test_a_compressed_answer_is_read(shop):
    body = gzip.compress(b"hello")
    shop.handle = lambda asked: Answer(body=body, headers={"Content-Encoding": "gzip"})
    assert ask(shop, compressed=True).body == b"hello"


def test_a_server_that_drips_is_left_at_the_deadline(shop):
    shop.handle = lambda asked: Answer(body=b"0" * 1_000, drip=0.1)
    door = OutboundDoor(resolve=lambda host, port: ["127.0.0.2"])
    [answer] = door.fetch([Request(url=shop.url, body=b"")], timeout_seconds=0.5)
    assert answer == NoAnswer("timeout", sent=True)


def test_a_resolver_that_hangs_costs_its_own_request_only(shop):
    hangs = threading.Event()

    def resolve(host, port):
        if host == "slow.example":
            hangs.wait(30)
        return ["127.0.0.2"]

    slow = shop.url.replace("shop", "slow")
    requests = [Request(url=slow, body=b""), Request(url=shop.url, body=b"")]
    first, second = OutboundDoor(resolve=resolve).fetch(requests, timeout_seconds=2)
    hangs.set()
    assert first == NoAnswer("name_not_found", sent=False)
    assert isinstance(second, Response)


def test_a_name_that_is_nobodys_may_be_tried_later():
    def resolve(host, port):
        raise socket.gaierror(socket.EAI_NONAME, "unknown")

    request = Request(url="https://shop.example/", body=b"")
    [answer] = OutboundDoor(resolve=resolve).fetch([request], timeout_seconds=1)
    assert answer == NoAnswer("name_not_found", sent=False)


def test_an_address_of_version_six_is_judged_and_reached_like_any_other(settings):
    with Canary("::1").running() as canary:
        url = f"http://[::1]:{canary.port}/"
        door = OutboundDoor()
        settings.PRIVATE_HOSTS = []
        assert door.fetch([Request(url=url, body=b"")], timeout_seconds=5) == [
            Forbidden("url_not_allowed")
        ]
        assert canary.connections == 0
        settings.PRIVATE_HOSTS = [("::1", canary.port)]
        door.fetch([Request(url=url, body=b"")], timeout_seconds=5)
        assert canary.connections == 1
