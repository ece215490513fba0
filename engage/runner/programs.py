"""Which programs make up Engage, and how each is started."""

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from django.conf import settings

from engage.celery import send_queue

PYTHON = sys.executable
QUIET_LIBRARIES = {  # one thread each: the processes are our parallelism
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "NUMBA_NUM_THREADS": "1",
}


@dataclass(frozen=True, slots=True)
class Program:
    name: str
    line: list[str]
    env: Mapping[str, str] = field(default_factory=dict)
    nice: int = 0


def list_programs(*, host: str, port: int) -> list[Program]:
    """The web server first: it is what people wait for."""
    return [web(host, port), ingest(), worker(), sender(), builder(), beat()]


def common_env(*, port: int, nonce: str) -> dict[str, str]:
    here = {
        "DJANGO_SETTINGS_MODULE": "engage.settings",
        "ENGAGE_DATA_DIR": str(settings.DATA_DIR),
        "ENGAGE_PORT": str(port),  # links lead to the port that is really used
        "ENGAGE_INSTANCE": nonce,
        "PYTHONUNBUFFERED": "1",
    }
    return {**QUIET_LIBRARIES, **os.environ, **here}


def web(host: str, port: int) -> Program:
    options = {
        "interface": "wsgi",
        "host": host,
        "port": port,
        "workers": settings.WEB_WORKERS,
        "blocking-threads": settings.WEB_THREADS,
        "respawn-interval": 0.2,
        "workers-kill-timeout": 2,
        "log-level": "warning",
    }
    switches = ["--no-ws", "--respawn-failed-workers"]
    return Program(
        "web", [PYTHON, "-m", "granian", *flags(options), *switches, "engage.wsgi:application"]
    )


def ingest() -> Program:
    return Program("ingest", [PYTHON, str(manage_py()), "ingest"])


def worker() -> Program:
    return Program(
        "worker",
        celery_worker("worker", queues=["default", "plan"], processes=settings.WORKER_PROCESSES),
    )


def sender() -> Program:
    """Waits for providers, and must hold up nobody; its processes follow from its channels."""
    return Program("sender", celery_worker("sender", queues=send_queues()))


def send_queues() -> list[str]:
    return [send_queue(channel) for channel in settings.CHANNELS]


def builder() -> Program:
    """Builds take minutes and a lot of memory: apart from the others, and behind them."""
    threads = str(settings.BUILD_THREADS)
    return Program(
        "builder",
        celery_worker("builder", queues=["build"], processes=1),
        env=dict.fromkeys(QUIET_LIBRARIES, threads),
        nice=10,
    )


def beat() -> Program:
    """Two of them do no harm: what is due is found in rows that are unique."""
    folder: Path = settings.DATA_DIR / "beat"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    options = {"schedule": folder / "schedule", "pidfile": "", "loglevel": "WARNING"}
    return Program("beat", [*celery(), "beat", *flags(options)])


def celery_worker(name: str, *, queues: Sequence[str], processes: int = 0) -> list[str]:
    """`processes` for queues that are not of a channel."""
    options = {
        "hostname": f"{name}@%h",
        "queues": ",".join(queues),
        "pool": "prefork",
        **({"concurrency": processes} if processes else {}),
        "loglevel": "WARNING",
    }
    switches = ["--without-gossip", "--without-mingle", "--without-heartbeat"]
    return [*celery(), "worker", *flags(options), *switches]


def celery() -> list[str]:
    return [PYTHON, "-m", "celery", "--app", "engage", "--quiet"]


def flags(options: Mapping[str, object]) -> list[str]:
    return [f"--{name}={value}" for name, value in options.items()]


def manage_py() -> Path:
    return Path(settings.BASE_DIR) / "manage.py"
