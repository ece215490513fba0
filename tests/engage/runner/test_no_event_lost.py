"""Whatever is killed while events come in: what was acknowledged is stored, exactly once."""

import base64
import http.client
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from contextlib import closing
from threading import Event, Thread
from urllib.parse import urlsplit

import psycopg2
import pytest

from engage.lib.data_dir import socket_dir
from engage.runner.running import MANAGE_PY, running
from tests.engage.runner.family import OWN_SERVERS, SMALL, wait_until

KILLED = ["ingest", "redis", "web", "postgres", "ingest", "redis", "postgres", "web"]
ENV = {**OWN_SERVERS, **SMALL}


class Sender(Thread):
    """A client that sends one event after the other, each until it is acknowledged."""

    def __init__(self, url: str, key: str):
        super().__init__(daemon=True)
        self.address = urlsplit(url).netloc
        self.headers = {
            "Authorization": "Basic " + base64.b64encode(f"{key}:".encode()).decode(),
            "Content-Type": "application/json",
        }
        self.enough = Event()
        self.acknowledged: list[str] = []
        self.refusals: Counter[object] = Counter()

    def run(self) -> None:
        number = 0
        while not self.enough.is_set():
            message_id = f"message {number}"
            if self.send(message_id):
                self.acknowledged.append(message_id)
                number += 1
            else:
                self.enough.wait(0.05)

    def send(self, message_id: str) -> bool:
        event = {"userId": "ada", "event": "Product Viewed", "messageId": message_id}
        connection = http.client.HTTPConnection(self.address, timeout=5)
        with closing(connection):
            try:
                connection.request("POST", "/v1/track", json.dumps(event), self.headers)
                status = connection.getresponse().status
            except (OSError, http.client.HTTPException) as exc:
                self.refusals[type(exc).__name__] += 1
                return False
        if status != 200:
            self.refusals[status] += 1
        return status == 200


def make_key(data_dir) -> str:
    return subprocess.run(
        [sys.executable, MANAGE_PY, "create_key", "till", "--kind", "write"],
        env={**os.environ, **ENV, "ENGAGE_DATA_DIR": str(data_dir)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()


def list_stored(data_dir) -> list[str]:
    try:
        connection = psycopg2.connect(
            host=str(socket_dir(data_dir)), port=5432, user="engage", dbname="engage"
        )
    except psycopg2.OperationalError:  # it is starting again
        return []
    with closing(connection), connection.cursor() as cursor:
        cursor.execute("SELECT message_id FROM profiles_event")
        return [row[0] for row in cursor.fetchall()]


@pytest.mark.slow
def test_no_acknowledged_event_is_lost_or_doubled(tmp_path):
    with (
        (tmp_path / "up.log").open("wb") as log,
        running(data_dir=tmp_path / "var", env=ENV, output=log.fileno()) as up,
    ):
        sender = Sender(up.url, make_key(up.data_dir))
        sender.start()
        for name in KILLED:
            so_far = len(sender.acknowledged)
            wait_until(lambda n=so_far: len(sender.acknowledged) > n + 20, seconds=30)
            os.kill(up.children()[name], signal.SIGKILL)
        so_far = len(sender.acknowledged)
        wait_until(lambda: len(sender.acknowledged) > so_far + 20, seconds=30)
        sender.enough.set()
        sender.join()

        acknowledged = set(sender.acknowledged)
        wait_until(lambda: acknowledged <= set(list_stored(up.data_dir)), seconds=30)
        assert max(Counter(list_stored(up.data_dir)).values()) == 1
    assert set(sender.refusals) <= {
        429,
        503,
        "ConnectionRefusedError",
        "ConnectionResetError",
        "RemoteDisconnected",
        "TimeoutError",
    }
