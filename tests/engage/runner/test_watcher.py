"""The stand-in for the kernel's notice; Linux does not use it, but it runs here."""

import os
import signal
import subprocess

from engage.runner import watcher
from tests.engage.runner.family import wait_until


def sleeper() -> subprocess.Popen:
    return subprocess.Popen(["sleep", "60"], process_group=0)


def test_groups_end_when_the_pipe_closes(monkeypatch):
    watched, forgotten = sleeper(), sleeper()
    pipe = watcher.start()
    watcher.tell(pipe, f"{watched.pid} {int(signal.SIGTERM)}")
    watcher.tell(pipe, f"{forgotten.pid} {int(signal.SIGTERM)}")
    watcher.tell(pipe, f"{forgotten.pid} 0")

    os.close(pipe)

    try:
        wait_until(lambda: watched.poll() is not None, seconds=3)
        assert watched.returncode == -signal.SIGTERM
        assert forgotten.poll() is None
    finally:
        forgotten.kill()
        forgotten.wait()
