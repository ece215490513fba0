"""Builds and folds in processes of their own, on the database of the test.

Run as a program it waits for lines, and starts one for each in a fork that has everything loaded:
the first moment of a build is then some milliseconds away, not seconds.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django.conf import settings

ROOT = Path(__file__).resolve().parents[2]


class Builder:
    """Starts builds and folds, and says how they ended."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process

    def start(self, deed: str = "build") -> int:
        """The process id of a new build, or of a new "fold"."""
        self.process.stdin.write(f"{deed}\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())

    def wait(self, pid: int) -> str:
        """How it ended: "folded", the state of a build, "killed", or what it was refused with."""
        self.process.stdin.write(f"wait {pid}\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()


@contextmanager
def builder(*, database_url: str) -> Iterator[Builder]:
    env = {
        **os.environ,
        "DATABASE_URL": database_url,
        "ENGAGE_DATA_DIR": str(settings.DATA_DIR),
        "DJANGO_SETTINGS_MODULE": "engage.settings",
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.concurrency.builder"],
        cwd=ROOT, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stdout.readline() == "ready\n"
        yield Builder(process)
    finally:
        process.stdin.close()
        process.wait(timeout=30)


def main() -> None:
    import django

    django.setup()
    from recommendations import build, fold  # noqa: F401

    print("ready", flush=True)
    ends: dict[int, int] = {}  # of each build, the pipe it says its end through
    for line in sys.stdin:
        if deed := DEEDS.get(line.strip()):
            reader, writer = os.pipe()
            pid = os.fork()
            if pid == 0:
                os.close(reader)
                os.write(writer, deed().encode())
                os._exit(0)
            os.close(writer)
            ends[pid] = reader
            print(pid, flush=True)
        else:
            pid = int(line.split()[1])
            os.waitpid(pid, 0)
            with os.fdopen(ends.pop(pid)) as pipe:
                print(pipe.read() or "killed", flush=True)


def build_once() -> str:
    from engage.lib import clock
    from recommendations import build

    try:
        return build.run("default", now=clock.now()).state
    except BaseException as exc:
        return type(exc).__name__


def fold_once() -> str:
    from engage.lib import clock
    from recommendations import fold

    try:
        return "folded" if fold.run("default", now=clock.now()) else "nothing"
    except BaseException as exc:
        return type(exc).__name__


DEEDS = {"build": build_once, "fold": fold_once}

if __name__ == "__main__":
    main()
