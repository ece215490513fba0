import socket
from contextlib import closing
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest

from engage.runner import probe


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
