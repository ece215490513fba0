"""An installation of its own to be broken: stores, providers, programs, people.

The stores and providers are ours, so that a fault can kill them and say when they come back; the
programs are those of `manage.py up`, so that it is its supervisor that brings them back.
"""

import base64
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg2

from engage.lib.data_dir import socket_dir
from engage.lib.processes import is_alive
from engage.runner import children, running
from engage.runner.stores import PostgresStore, RedisStore, Store
from tests.faults.errors import Wrong

ROOT = Path(__file__).resolve().parents[2]
PEOPLE = 1_000
LEASE_SECONDS, TIMEOUT_SECONDS, SEND_BATCH, PROCESSES = 30, 5, 200, 2
SENDING_BATCHES = {"email": 10, "push": 50}  # marked together, as the adapters say
ALL_IN_FLIGHT = PROCESSES * sum(SENDING_BATCHES.values())  # each channel has so many processes
READY_SECONDS, STOP_SECONDS = 60.0, 10.0
LOOK_SECONDS = 0.05
HOOK_SECRET = "whsec_" + base64.b64encode(b"a secret of tests, of no use anywhere").decode()
OWN_NAMES = ("DATABASE_URL", "REDIS_URL", "BROKER_URL", "SECRET_KEY", "ENGAGE_")


def wait_until(condition: Callable[[], Any], *, seconds: float, what: str) -> Any:
    """The first true answer. Raises Wrong when there is none in time."""
    deadline = time.monotonic() + seconds
    while True:
        if answer := condition():
            return answer
        if time.monotonic() > deadline:
            raise Wrong(f"not within {seconds:g} s: {what}")
        time.sleep(LOOK_SECONDS)


def without(beginnings: tuple[str, ...]) -> dict[str, str]:
    """The environment without the variables whose names begin so."""
    return {name: v for name, v in os.environ.items() if not name.startswith(beginnings)}


def free_port() -> int:
    """Of this moment; kept by the installation, because links in messages name it."""
    with closing(socket.socket()) as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@dataclass
class Lines:
    """A file of JSON lines that grows; each is read once."""

    path: Path
    found: list[dict[str, Any]] = field(default_factory=list)
    place: int = 0

    def read(self) -> list[dict[str, Any]]:
        """Whole lines only: the last may just be written."""
        with suppress(FileNotFoundError), self.path.open("rb") as file:
            file.seek(self.place)
            whole, newline, _ = file.read().rpartition(b"\n")
            self.place += len(whole + newline)
            self.found += map(json.loads, whole.splitlines())
        return self.found


@dataclass
class Provider:
    """A provider as a process; what it accepted and what it was asked stand in files."""

    name: str
    folder: Path
    process: "subprocess.Popen[bytes] | None" = None
    facts: dict[str, Any] = field(default_factory=dict)
    more: list[str] = field(default_factory=list)  # of its command line

    def __post_init__(self) -> None:
        self._accepted = Lines(self.ledger)
        self._calls = Lines(self.rules.with_suffix(".calls"))

    @property
    def ledger(self) -> Path:
        return self.folder / f"{self.name}.ledger"

    def start(self) -> None:
        said = self.folder / f"{self.name}.out"
        own = [] if self.name == "smtp" else ["--folder", self.folder / self.name]
        with said.open("wb") as output:
            self.process = children.start(
                [sys.executable, "-m", f"tests.providers.{self.name}",
                 "--ledger", self.ledger, "--faults", self.rules, *own, *self.more],
                parting=signal.SIGKILL, env=os.environ, cwd=ROOT, output=output.fileno(),
            )  # fmt: skip

        def first_line() -> dict[str, Any] | None:
            lines = [line for line in said.read_text().splitlines() if line.endswith("}")]
            return json.loads(lines[0]) if lines else None

        self.facts = wait_until(first_line, seconds=READY_SECONDS, what=f"{self.name} listens")

    def stop(self) -> None:
        if self.process is not None:
            children.stop([self.process], first=signal.SIGTERM, patience_seconds=STOP_SECONDS)

    @property
    def rules(self) -> Path:
        return self.folder / f"{self.name}.rules"

    def play(self, *rules: Mapping[str, object]) -> None:
        """From now on; whole or not at all, because the provider reads it at any time."""
        fresh = self.rules.with_suffix(".new")
        fresh.write_text(json.dumps(rules))
        fresh.replace(self.rules)

    def accepted(self) -> list[dict[str, Any]]:
        return self._accepted.read()

    def calls(self) -> list[dict[str, Any]]:
        return self._calls.read()


@dataclass
class Installation:
    """Everything in one folder. Use as a context manager."""

    folder: Path
    stores: dict[str, Store] = field(default_factory=dict)
    processes: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)
    providers: dict[str, Provider] = field(default_factory=dict)
    up: running.Up | None = None
    env: dict[str, str] = field(default_factory=dict)  # of the programs, beyond `base_env`
    port: int = field(default_factory=free_port)
    write_key: str = ""
    server_key: str = ""
    prepared: bool = False

    # --- its parts ----------------------------------------------------------------------------

    @property
    def data_dir(self) -> Path:
        return self.folder / "var"

    @property
    def logs(self) -> Path:
        """What everybody says on standard output; nothing of ours writes a log file itself."""
        return self.folder / "logs"

    @property
    def failpoints(self) -> Path:
        return self.folder / "failpoints"

    def database_url(self, sockets: Path | None = None) -> str:
        place = str(sockets or socket_dir(self.data_dir)).replace("/", "%2F")
        return f"postgres://engage@{place}/engage"

    def base_env(self) -> dict[str, str]:
        redis = socket_dir(self.data_dir) / "redis.sock"
        return {
            "ENGAGE_DATA_DIR": str(self.data_dir),
            "DATABASE_URL": self.database_url(),
            "REDIS_URL": f"unix://{redis}?db=0",
            "BROKER_URL": f"redis+socket://{redis}?virtual_host=1",
            "ENGAGE_REDIS_PREFIX": "engage",
            "SECRET_KEY": "a key for tests only, of no use anywhere",
            "DJANGO_SETTINGS_MODULE": "engage.settings",
            "ENGAGE_PORT": str(self.port),
            "ENGAGE_WEB_WORKERS": "1",
            "ENGAGE_WORKER_PROCESSES": str(PROCESSES),
            "ENGAGE_SENDER_PROCESSES": str(PROCESSES),
            "ENGAGE_SEND_BATCH": str(SEND_BATCH),
            "ENGAGE_SEND_LEASE_SECONDS": str(LEASE_SECONDS),
            "ENGAGE_PROVIDER_TIMEOUT_SECONDS": str(TIMEOUT_SECONDS),
            "ENGAGE_HOOK_SECRET": HOOK_SECRET,
            "ENGAGE_FAILPOINTS": str(self.failpoints),
        }

    def __enter__(self) -> "Installation":
        for place in (self.folder, self.data_dir, self.failpoints, self.logs):
            place.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.environ.update(self.base_env())
        # The sessions of this process have another name than those that are to be broken.
        os.environ["DATABASE_URL"] += "?application_name=faults"
        os.environ.pop("ENGAGE_INSTANCE", None)
        self.stores = {
            "postgres": PostgresStore(self.data_dir),
            "redis": RedisStore(self.data_dir),
        }
        try:
            for name in self.stores:
                self.start_store(name)
            for name in ("smtp", "fcm"):
                self.providers[name] = Provider(name, self.folder)
                self.providers[name].start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop_programs()
        for provider in self.providers.values():
            provider.stop()
        for name in list(self.processes):
            self.stop_store(name)

    def renew(self) -> None:
        """Begin again with nothing: who knows what a round that broke off has left."""
        self.__exit__()
        with suppress(FileNotFoundError):
            for line in Path("/proc/mounts").read_text().splitlines():
                if line.split()[1].startswith(f"{self.folder}/"):
                    subprocess.run(["umount", "-l", line.split()[1]], check=True)
        shutil.rmtree(self.folder)
        self.providers, self.env, self.prepared = {}, {}, False
        self.__enter__()

    # --- stores -------------------------------------------------------------------------------

    def start_store(self, name: str) -> float:
        """Start it and wait until it answers; how long that took."""
        started = time.monotonic()
        with (self.logs / f"{name}.log").open("ab") as log:
            self.processes[name] = self.stores[name].start(output=log.fileno())
        wait_until(self.stores[name].answers, seconds=READY_SECONDS, what=f"{name} answers")
        return time.monotonic() - started

    def start_absent_stores(self) -> None:
        """What a round that failed left dead."""
        for name in self.stores:
            if name not in self.processes or self.processes[name].poll() is not None:
                self.start_store(name)

    def kill_store(self, name: str) -> None:
        os.kill(self.processes[name].pid, signal.SIGKILL)
        self.processes.pop(name).wait()

    def stop_store(self, name: str) -> None:
        process = self.processes.pop(name)
        children.stop([process], first=self.stores[name].parting, patience_seconds=STOP_SECONDS)

    # --- programs -----------------------------------------------------------------------------

    def start_programs(self, **env: str) -> None:
        """`manage.py up` with this environment; one that runs with the same is kept."""
        if self.up is not None and self.env == env and self.up.process.poll() is None:
            return
        self.stop_programs()
        self.env = dict(env)
        with (self.logs / "up.log").open("ab") as log:
            process = running.start(
                data_dir=self.data_dir, env=self.env_of_programs(), output=log.fileno()
            )
        try:
            self.up = running.wait_until_ready(process, self.data_dir)
        except BaseException:
            children.stop([process], first=signal.SIGKILL, patience_seconds=STOP_SECONDS)
            raise

    def stop_programs(self) -> None:
        if self.up is not None:
            children.stop([self.up.process], first=signal.SIGINT, patience_seconds=STOP_SECONDS)
            self.up = None

    def program(self, name: str) -> int:
        """The process number of a program of `up`, as soon as it lives."""
        assert self.up is not None

        def living() -> int:
            number = self.up.children().get(name, 0)
            return number if number and is_alive(number) else 0

        return wait_until(living, seconds=READY_SECONDS, what=f"{name} lives")

    @contextmanager
    def another(
        self, name: str, line: list[str], **env: str
    ) -> Iterator["subprocess.Popen[bytes]"]:
        """One more program beside those of `up`: a second worker, a second scheduler."""
        assert self.up is not None
        instance = {"ENGAGE_INSTANCE": self.up.instance}
        given = {**os.environ, **self.env_of_programs(), **instance, **env}
        with (self.logs / f"{name}.log").open("ab") as log:
            process = children.start(
                line, parting=signal.SIGKILL, env=given, cwd=ROOT, output=log.fileno()
            )
        try:
            yield process
        finally:
            children.stop([process], first=signal.SIGKILL, patience_seconds=STOP_SECONDS)

    def env_of_programs(self) -> dict[str, str]:
        smtp, fcm = self.providers["smtp"].facts, self.providers["fcm"].facts
        return {
            **self.base_env(),
            "ENGAGE_SMTP_URL": str(smtp["url"]),
            "ENGAGE_FCM_URL": str(fcm["url"]),
            "ENGAGE_FCM_CREDENTIALS_FILE": str(fcm["credentials_file"]),
            "ENGAGE_CA_FILE": str(fcm["ca_file"]),
            **self.env,
        }

    # --- questions ----------------------------------------------------------------------------

    def ask(self, question: str, *values: object) -> list[tuple[Any, ...]]:
        """Rows, on a connection of its own; asked again while the database is away."""
        deadline = time.monotonic() + READY_SECONDS
        while True:
            try:
                connection = psycopg2.connect(
                    host=str(socket_dir(self.data_dir)), port=5432, user="engage",
                    dbname="engage", connect_timeout=5, application_name="faults",
                )  # fmt: skip
                with closing(connection), connection.cursor() as cursor:
                    cursor.execute(question, values)
                    return cursor.fetchall()
            except psycopg2.OperationalError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(LOOK_SECONDS)

    def arm(self, name: str) -> None:
        (self.failpoints / name).touch()

    def is_armed(self, name: str) -> bool:
        return (self.failpoints / name).exists()
