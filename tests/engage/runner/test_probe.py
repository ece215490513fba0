import errno
import socket
from contextlib import closing
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest

from engage.runner import probe
from engage.runner.errors import StartFailed


@pytest.fixture
def stranger():
    """A server of somebody else that answers everything with 200."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("X-Engage-Instance", "of another start")
            self.end_headers()

        def log_message(self, *args):
            pass

    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


def test_answer_of_another_start_is_not_ours(stranger):
    assert not probe.is_ours("127.0.0.1", stranger, nonce="this start")
    assert probe.is_ours("127.0.0.1", stranger, nonce="of another start")


def test_empty_nonce_is_never_ours(stranger):
    assert not probe.is_ours("127.0.0.1", stranger, nonce="")


def test_port_where_nobody_answers_has_no_instance():
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        port = server.getsockname()[1]
    assert probe.find_instance("127.0.0.1", port) is None


def test_taken_port_gives_way_to_another(stranger):
    found = probe.find_free_port("127.0.0.1", stranger)
    assert found != stranger
    assert probe.is_free("127.0.0.1", found)


def test_free_port_is_taken_as_wanted():
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        port = server.getsockname()[1]
    assert probe.find_free_port("127.0.0.1", port) == port


def test_two_starts_at_once_do_not_share_a_port():
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        wanted = server.getsockname()[1]
    first, claim = probe.claim_port("127.0.0.1", wanted)  # nobody listens on it yet
    with claim:
        second, other_claim = probe.claim_port("127.0.0.1", wanted)
        other_claim.close()
    third, claim = probe.claim_port("127.0.0.1", wanted)
    claim.close()
    assert (first, third) == (wanted, wanted)
    assert second != wanted


@pytest.mark.parametrize("host", ["203.0.113.7", "no.such.host.example", "::ffff"])
def test_host_of_another_machine_is_refused_with_what_to_do(host):
    with pytest.raises(StartFailed, match=r"ENGAGE_HOST is .* no address of this machine"):
        probe.find_free_port(host, 8000)


def test_port_kept_for_root_is_refused_and_not_called_taken(monkeypatch):
    bind = socket.socket.bind

    class Guarded(socket.socket):
        def bind(self, address):
            if 0 < address[1] < 1024:
                raise PermissionError(errno.EACCES, "Permission denied")
            bind(self, address)

    monkeypatch.setattr(probe.socket, "socket", Guarded)
    with pytest.raises(StartFailed, match="ENGAGE_PORT is 80, which this user may not open"):
        probe.find_free_port("127.0.0.1", 80)
