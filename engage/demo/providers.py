"""The mail server and the push provider of the demo: local, real protocols, nothing delivered."""

import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings

from engage.runner import children
from engage.runner.errors import StartFailed

START_SECONDS = 30.0
STOP_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Providers:
    """Where the messages go, and the environment that sends them there."""

    mailbox: Path
    pushes: Path
    env: dict[str, str]


@contextmanager
def local_providers(folder: Path) -> Iterator[Providers]:
    """Both, until the block ends; what earlier starts captured is cleared away."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    mailbox, pushes = folder / "mail", folder / "push"
    with _running("smtp", folder, mailbox) as smtp, _running("fcm", folder, pushes) as fcm:
        yield Providers(
            mailbox,
            pushes,
            {
                "ENGAGE_SMTP_URL": f"smtp://localhost:{smtp['port']}",
                "ENGAGE_FCM_URL": str(fcm["url"]),
                "ENGAGE_FCM_CREDENTIALS_FILE": str(fcm["credentials_file"]),
                "ENGAGE_CA_FILE": str(fcm["ca_file"]),
            },
        )


@contextmanager
def _running(name: str, folder: Path, captured: Path) -> Iterator[dict[str, Any]]:
    said = folder / f"{name}.out"
    arguments: list[str | Path] = ["--ledger", folder / f"{name}.ledger", "--captured", captured]
    with said.open("wb") as output:
        process = children.start(
            [sys.executable, "-m", f"tests.providers.{name}", *arguments],
            parting=signal.SIGTERM,
            env=os.environ,
            cwd=settings.BASE_DIR,
            output=output.fileno(),
        )
    try:
        deadline = time.monotonic() + START_SECONDS
        while (facts := _first_facts(said)) is None:
            if process.poll() is not None or time.monotonic() > deadline:
                raise StartFailed(f"The demo's {name} server did not start:\n{said.read_text()}")
            time.sleep(0.05)
        yield facts
    finally:
        children.stop([process], first=signal.SIGTERM, patience_seconds=STOP_SECONDS)


def _first_facts(said: Path) -> dict[str, Any] | None:
    """The JSON line that a provider prints when it listens."""
    for line in said.read_text().splitlines():
        if line.startswith("{") and line.endswith("}"):
            facts: dict[str, Any] = json.loads(line)
            return facts
    return None
