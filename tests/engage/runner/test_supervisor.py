"""`manage.py up`, the whole of it: every test here starts real processes."""

import errno
import os
import signal
import socket
import time
import urllib.request
from contextlib import closing
from pathlib import Path

import pytest

from engage.runner import children
from engage.runner.errors import StartFailed
from engage.runner.running import (
    running,
    start,
    stop_when_asked,
    wait_until_ready,
)
from engage.runner.status import read_status
from engage.runner.supervisor import PAUSES_SECONDS, Charge, Supervisor
from tests.engage.runner.family import OWN_SERVERS, SMALL, list_family, wait_until

NAMES = ["postgres", "redis", "web", "ingest", "worker", "sender", "builder", "beat"]
ENV = {**OWN_SERVERS, **SMALL}


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    with (tmp_path_factory.mktemp("log") / "up.log").open("w+b") as file:
        yield file


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    """One folder for all tests of this file: each start goes on with it."""
    return tmp_path_factory.mktemp("up") / "var of the shop"


def free_port() -> int:
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        return server.getsockname()[1]


def ask(url: str) -> tuple[int, str]:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return answer.status, answer.headers["X-Engage-Instance"]


def answers(url: str, instance: str) -> bool:
    try:
        return ask(f"{url}/healthz") == (200, instance)
    except OSError:
        return False


@pytest.mark.slow
def test_each_killed_child_is_started_again(data_dir, log):
    port = free_port()
    with running(data_dir=data_dir, port=port, env=ENV, output=log.fileno()) as up:
        assert up.url == f"http://localhost:{port}"
        assert list(up.children()) == NAMES
        assert ask(f"{up.url}/healthz")[1] == up.instance
        for name in NAMES:
            before = up.children()[name]
            os.kill(before, signal.SIGKILL)
            wait_until(lambda n=name, b=before: up.children().get(n, b) != b, seconds=20)
        wait_until(lambda: answers(up.url, up.instance), seconds=60)  # all load at once


@pytest.mark.slow
def test_what_came_up_is_started_at_once_however_often_it_is_killed(data_dir, log):
    """Five ends of each: with growing pauses the last would be followed by one of 5 s."""
    began = log.seek(0, os.SEEK_END)
    with running(data_dir=data_dir, port=free_port(), env=ENV, output=log.fileno()) as up:
        for name in ("web", "ingest") * 5:
            wait_until((data_dir / "locks" / f"ready-{name}").exists, seconds=60)
            before = up.children()[name]
            os.kill(before, signal.SIGKILL)
            wait_until(lambda n=name, b=before: up.children().get(n, b) != b, seconds=20)
    log.seek(began)
    ends = [line for line in log.read().decode().splitlines() if "starts again" in line]
    assert len(ends) == 10
    assert all(line.endswith("starts again in 0.1 s") for line in ends)


@pytest.mark.slow
def test_interrupt_ends_everything_in_order_within_five_seconds(data_dir, log):
    process = start(data_dir=data_dir, port=free_port(), env=ENV, output=log.fileno())
    wait_until_ready(process, data_dir)
    began = time.monotonic()

    process.send_signal(signal.SIGINT)

    assert process.wait(5) == 0
    assert time.monotonic() - began < 5
    assert list_family(data_dir) == []


@pytest.mark.slow
@pytest.mark.parametrize("after", [0.5, 1.5, 2.5])
def test_interrupt_while_it_starts_ends_everything_within_five_seconds(tmp_path, log, after):
    process = start(data_dir=tmp_path / "var", port=free_port(), env=ENV, output=log.fileno())
    wait_until(lambda: (tmp_path / "var" / "locks" / "up").exists(), seconds=20)
    time.sleep(after)  # into making the database, or its tables
    began = time.monotonic()

    process.send_signal(signal.SIGINT)

    assert process.wait(10) == 0
    assert time.monotonic() - began < 5
    wait_until(lambda: list_family(tmp_path / "var") == [], seconds=2)


@pytest.mark.slow
def test_killed_runner_leaves_no_process_after_five_seconds(data_dir, log):
    process = start(data_dir=data_dir, port=free_port(), env=ENV, output=log.fileno())
    up = wait_until_ready(process, data_dir)
    wait_until(lambda: len(list_family(data_dir)) > len(NAMES), seconds=20)  # with their children

    process.kill()
    process.wait()

    wait_until(lambda: list_family(data_dir) == [], seconds=5)
    assert not answers(up.url, up.instance)


@pytest.mark.slow
def test_taken_port_and_second_start_are_said_aloud(data_dir, log):
    log.seek(0, os.SEEK_END)
    where = log.tell()
    with closing(socket.create_server(("127.0.0.1", 0))) as stranger:
        taken = stranger.getsockname()[1]
        with running(data_dir=data_dir, port=taken, env=ENV, output=log.fileno()) as up:
            assert up.url != f"http://localhost:{taken}"
            assert answers(up.url, up.instance)
            with (
                pytest.raises(StartFailed),
                running(data_dir=data_dir, env=ENV, output=log.fileno()),
            ):
                pass
    log.seek(where)
    words = log.read().decode()
    assert f"Port {taken} is taken: using {up.url.rpartition(':')[2]} instead." in words
    assert f"Engage already runs on {data_dir}: {up.url}" in words


def test_full_disk_does_not_end_what_runs(monkeypatch, tmp_path):
    supervisor = Supervisor(data_dir=tmp_path, host="127.0.0.1", wanted_port=8000)
    supervisor.take_folder()

    def full(path, words):
        raise OSError(errno.ENOSPC, "No space left on device")

    before = read_status(tmp_path)
    monkeypatch.setattr(Path, "write_text", full)
    supervisor.write_status()
    assert read_status(tmp_path) == before
    assert os.fstat(supervisor.lock).st_nlink == 1  # still held
    os.close(supervisor.lock)


@pytest.mark.parametrize(("before", "answered"), [(signal.SIG_IGN, []), (signal.SIG_DFL, [1])])
def test_end_of_the_terminal_stops_only_what_was_not_told_to_outlive_it(before, answered):
    saved = {each: signal.getsignal(each) for each in (1, signal.SIGINT, signal.SIGTERM)}
    heard = []
    try:
        signal.signal(signal.SIGHUP, before)
        stop_when_asked(lambda number, frame: heard.append(number))
        signal.raise_signal(signal.SIGHUP)
    finally:
        for each, answer in saved.items():
            signal.signal(each, answer)
    assert heard == answered


def sleep(output: int):
    return children.start(["sleep", "60"], parting=signal.SIGKILL, output=output)


class TestCharge:
    """Pauses grow until a child stays up; one that was killed at its work starts afresh."""

    @pytest.fixture
    def charge(self):
        def launch(output: int):
            return children.start(["true"], parting=signal.SIGKILL, output=output)

        return Charge("worker", launch, signal.SIGTERM, lambda: False)

    def end(self, charge: Charge) -> None:
        charge.process.wait()

    def test_pauses_grow(self, charge):
        charge.start()
        pauses = []
        for _ in range(len(PAUSES_SECONDS) + 1):
            self.end(charge)
            now = charge.started_at
            assert not charge.keep(now)
            pauses.append(charge.due_at - now)
            assert charge.keep(charge.due_at + 0.001)
        self.end(charge)
        assert pauses == pytest.approx([*PAUSES_SECONDS, PAUSES_SECONDS[-1]])

    def test_child_that_came_up_is_started_again_at_once_however_often_it_is_killed(self, charge):
        charge.failures = 5
        charge.came_up = lambda: True
        charge.launch = sleep
        pauses = []
        for _ in range(3):
            charge.start()
            charge.process.kill()
            self.end(charge)
            charge.keep(charge.started_at)
            pauses.append(charge.due_at - charge.started_at)
        assert pauses == pytest.approx([PAUSES_SECONDS[0]] * 3)

    def test_pauses_grow_for_a_child_that_comes_up_and_crashes_again_and_again(self, charge):
        charge.came_up = lambda: True
        pauses = []
        for _ in range(4):
            charge.start()
            self.end(charge)
            charge.keep(charge.started_at)
            pauses.append(charge.due_at - charge.started_at)
        assert pauses == pytest.approx([0.1, 0.5, 1.0, 2.0])

    @pytest.mark.parametrize(("stayed", "pause"), [(59.0, 10.0), (60.0, 0.1)])
    def test_crashes_are_forgotten_once_a_child_stayed_up_for_a_minute(
        self, charge, stayed, pause
    ):
        charge.failures = 5
        charge.came_up = lambda: True
        charge.launch = sleep
        charge.start()
        came_up, ended = charge.started_at, charge.started_at + stayed
        assert not charge.keep(came_up)
        os.kill(charge.process.pid, signal.SIGSEGV)
        self.end(charge)
        charge.keep(ended)
        assert charge.due_at - ended == pytest.approx(pause)

    def test_child_that_comes_up_while_it_lives_is_asked_once(self, charge):
        asked = []
        charge.came_up = lambda: asked.append(1) or True
        charge.launch = sleep
        charge.start()
        assert not charge.keep(charge.started_at)
        assert not charge.keep(charge.started_at)
        children.kill_group(charge.process)
        assert (charge.up_at, asked) == (charge.started_at, [1])

    def test_launch_that_fails_is_tried_again_later(self, charge):
        def refuse(output: int):
            raise StartFailed("no memory")

        charge.launch = refuse
        assert charge.keep(100.0)
        assert (charge.process, charge.failures, charge.due_at) == (None, 1, 100.1)
