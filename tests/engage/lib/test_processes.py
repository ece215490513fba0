import subprocess
import sys

import pytest

from engage.lib.processes import is_alive
from tests.engage.runner.family import wait_until

# A server that forks a worker; which of them sleeps first decides who ends first.
SERVER = """
import os, signal, sys, time
from engage.lib.processes import die_with_parent
server_ends_after, worker_begins_after = map(float, sys.argv[1:])
if worker := os.fork():
    print(worker, flush=True)
    time.sleep(server_ends_after)
    os.kill(os.getpid(), signal.SIGKILL)
time.sleep(worker_begins_after)
die_with_parent()
os.close(1)
time.sleep(60)
"""


def start_server(*, server_ends_after: float, worker_begins_after: float) -> int:
    """The number of its worker, once the server is gone."""
    server = subprocess.Popen(
        [sys.executable, "-c", SERVER, str(server_ends_after), str(worker_begins_after)],
        stdout=subprocess.PIPE,
        process_group=0,
        text=True,
    )
    with server.stdout:
        worker = int(server.stdout.readline())
        server.wait()
    return worker


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's notice is Linux's")
@pytest.mark.parametrize(
    ("server_ends_after", "worker_begins_after"), [(0.5, 0), (0, 0.5)], ids=["late", "early"]
)
def test_worker_ends_with_its_server(monkeypatch, server_ends_after, worker_begins_after):
    monkeypatch.setenv("ENGAGE_INSTANCE", "a nonce")
    worker = start_server(
        server_ends_after=server_ends_after, worker_begins_after=worker_begins_after
    )
    wait_until(lambda: not is_alive(worker), seconds=5)
    assert not is_alive(worker)
