"""The embedded PostgreSQL and Redis of one data folder: prepared, started, asked for an answer."""

import os
import shutil
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Protocol

import psycopg2
import redis

from engage.lib.data_dir import socket_dir
from engage.runner import binaries, children
from engage.runner.errors import StartFailed
from engage.runner.locks import held, lock_of_family

PORT = 5432  # only names the socket: nothing listens on a network
SUPERUSER = "postgres"
ROLE = DATABASE = "engage"
CREATE_SECONDS = 300.0  # on a very slow disk
PATIENCE_SECONDS = 30.0  # for an earlier start to end; a busy database writes a lot then


class Store(Protocol):
    """A server with files in the data folder and a socket beside them."""

    name: ClassVar[str]
    parting: ClassVar[signal.Signals]  # asks it to stop, at once but in order

    def start(
        self, *, output: int, patience_seconds: float = PATIENCE_SECONDS
    ) -> "subprocess.Popen[bytes]":
        """Start it; the files are made when there are none. Raises StartFailed, ServerMissing."""

    def answers(self) -> bool:
        """Whether it answers a real question now."""


@dataclass(frozen=True, slots=True)
class PostgresStore:
    data_dir: Path
    durable: bool = True

    name: ClassVar[str] = "postgres"
    parting: ClassVar[signal.Signals] = signal.SIGINT  # "fast": sessions are rolled back

    @property
    def folder(self) -> Path:
        return self.data_dir / "postgres"

    def start(
        self, *, output: int, patience_seconds: float = PATIENCE_SECONDS
    ) -> "subprocess.Popen[bytes]":
        sockets = make_socket_dir(self.data_dir)
        lock = lock_of_family(
            self.data_dir / "locks" / "postgres", patience_seconds=patience_seconds
        )
        with held(lock):
            programs = binaries.find_postgres(major=self.major())
            identity = find_identity(programs.server)
            if not self.folder.exists():
                self.create(programs, identity=identity)
            give_to(identity, self.folder)
            # The family lock says that nobody is there; a number in a stale file may by now be
            # somebody else's, and PostgreSQL would refuse to start because of it.
            remove(self.folder / "postmaster.pid")
            remove(sockets / f".s.PGSQL.{PORT}", sockets / f".s.PGSQL.{PORT}.lock")
            return children.start(
                [programs.server, "-D", self.folder, *self.options(sockets)],
                parting=self.parting,
                identity=identity,
                output=output,
                pass_fds=(lock,),
            )

    def options(self, sockets: Path) -> list[str]:
        fixed = {
            "listen_addresses": "",
            "port": str(PORT),
            "unix_socket_directories": quoted(sockets),
            "unix_socket_permissions": "0700",
            "log_checkpoints": "off",
            "fsync": "on" if self.durable else "off",
        }
        return [part for name, value in fixed.items() for part in ("-c", f"{name}={value}")]

    def major(self) -> int | None:
        """The version that made the files; only the same one can read them."""
        try:
            return int((self.folder / "PG_VERSION").read_text())
        except FileNotFoundError:
            return None

    def create(self, programs: binaries.Postgres, *, identity: children.Identity) -> None:
        """All or nothing: a start that was killed here leaves only a folder that is made anew."""
        draft = self.data_dir / "postgres.new"
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(mode=0o700, parents=True)
        give_to(identity, draft)
        words = self.data_dir / "postgres.new.log"
        with words.open("wb") as file:
            made = children.start(
                [
                    programs.initdb,
                    "-D",
                    draft,
                    *init_options(programs.major, durable=self.durable),
                ],
                parting=signal.SIGKILL,
                identity=identity,
                output=file.fileno(),
            )
        children.wait_and_end([made], patience_seconds=CREATE_SECONDS)
        if made.returncode != 0:
            raise StartFailed(f"PostgreSQL could not make its files:\n{words.read_text().strip()}")
        words.unlink()
        with (draft / "postgresql.conf").open("a") as settings:
            settings.write(TUNING.format(**memory_settings()))
        draft.rename(self.folder)

    def answers(self) -> bool:
        try:
            connection = self.connect("postgres")
        except psycopg2.Error:
            return False
        try:
            connection.autocommit = True
            make_database(connection)
        except psycopg2.Error:
            return False
        finally:
            connection.close()
        return True

    def connect(self, database: str) -> "psycopg2.extensions.connection":
        return psycopg2.connect(
            host=str(socket_dir(self.data_dir)),
            port=PORT,
            user=SUPERUSER,
            dbname=database,
            connect_timeout=5,
        )


@dataclass(frozen=True, slots=True)
class RedisStore:
    data_dir: Path
    durable: bool = True

    name: ClassVar[str] = "redis"
    parting: ClassVar[signal.Signals] = signal.SIGTERM

    def start(
        self, *, output: int, patience_seconds: float = PATIENCE_SECONDS
    ) -> "subprocess.Popen[bytes]":
        folder = self.data_dir / "redis"
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        make_socket_dir(self.data_dir)
        lock = lock_of_family(self.data_dir / "locks" / "redis", patience_seconds=patience_seconds)
        with held(lock):
            remove(self.socket)
            return children.start(
                [binaries.find_redis(), *self.options(folder)],
                parting=self.parting,
                output=output,
                pass_fds=(lock,),
            )

    @property
    def socket(self) -> Path:
        return socket_dir(self.data_dir) / "redis.sock"

    def options(self, folder: Path) -> list[str]:
        settings = {
            "port": "0",
            "unixsocket": str(self.socket),
            "unixsocketperm": "700",
            "dir": str(folder),
            "appendonly": "yes",
            "appendfsync": "always",  # an acknowledged event is on the disk
            "save": "",
            "maxmemory-policy": "noeviction",
            "daemonize": "no",
        }
        return [part for name, value in settings.items() for part in (f"--{name}", value)]

    def answers(self) -> bool:
        client = redis.Redis(unix_socket_path=str(self.socket), socket_timeout=5)
        try:
            return bool(client.ping())
        except redis.RedisError:
            return False
        finally:
            client.close()


# --- folders --------------------------------------------------------------------------------


def make_socket_dir(data_dir: Path) -> Path:
    """Ours alone; a folder of the same name that somebody else put there is refused."""
    folder = socket_dir(data_dir)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    facts = folder.lstat()
    if folder.is_symlink() or facts.st_uid != os.geteuid() or facts.st_mode & 0o077:
        raise StartFailed(f"{folder} must be a folder that belongs to you alone (mode 700).")
    return folder


def remove(*files: Path) -> None:
    for file in files:
        file.unlink(missing_ok=True)


def quoted(path: Path) -> str:
    """As one entry of a PostgreSQL list: spaces and commas are letters of the name."""
    return '"' + str(path).replace('"', '""') + '"'


# --- root -----------------------------------------------------------------------------------


def find_identity(program: Path) -> children.Identity:
    """How we run PostgreSQL, which wants a user with a name who is not root; see `launch.py`.

    Raises
    ------
    StartFailed
        If we are either and the machine allows no way around it.
    """
    if os.geteuid() != 0 and has_name(os.geteuid()):
        return "same"
    identity: children.Identity
    for identity in ("namespace", "account"):
        if works(program, identity=identity):
            return identity
    raise StartFailed(
        "PostgreSQL runs neither as root nor as a user without a name, and this machine allows "
        f"neither a user namespace nor the account nobody to run {program}. Start Engage as an "
        "ordinary user, move it out of a folder that only root may enter, or set DATABASE_URL "
        "to a server that runs elsewhere."
    )


def works(program: Path, *, identity: children.Identity) -> bool:
    line = children.launch_line([program, "--version"], parting=signal.SIGKILL, identity=identity)
    try:
        return subprocess.run(line, capture_output=True, timeout=10).returncode == 0
    except subprocess.TimeoutExpired as exc:
        raise StartFailed(f"{program} did not say its version within 10 s.") from exc


def has_name(user: int) -> bool:
    """False for the arbitrary numbers that some container hosts run us under."""
    import pwd

    try:
        pwd.getpwuid(user)
    except KeyError:
        return False
    return True


def give_to(identity: children.Identity, folder: Path) -> None:
    """PostgreSQL wants to own its files; another identity may have made them on another day."""
    if os.geteuid() != 0:
        return
    owner, group = 0, 0
    if identity == "account":
        import pwd

        account = pwd.getpwnam("nobody")
        owner, group = account.pw_uid, account.pw_gid
    if folder.stat().st_uid == owner:
        return
    for place, _, files in os.walk(folder):
        os.chown(place, owner, group)
        for name in files:
            os.chown(Path(place) / name, owner, group, follow_symlinks=False)


# --- a new database -------------------------------------------------------------------------

TUNING = """
# Written once by Engage for this machine; edit it as you like.
shared_buffers = {shared_mb}MB
effective_cache_size = {cache_mb}MB
maintenance_work_mem = {maintenance_mb}MB
work_mem = 16MB
max_wal_size = 2GB
checkpoint_timeout = 15min
wal_compression = on
random_page_cost = 1.1
jit = off
max_parallel_workers_per_gather = 1
timezone = 'UTC'
log_timezone = 'UTC'
lc_messages = 'C'
"""


def memory_settings() -> dict[str, int]:
    try:
        pages, size = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
        machine_mb = pages * size // 2**20
    except (ValueError, OSError):
        machine_mb = 4096
    return {
        "shared_mb": min(max(machine_mb // 8, 128), 2048),
        "cache_mb": max(machine_mb // 2, 256),
        "maintenance_mb": min(max(machine_mb // 32, 64), 512),
    }


def init_options(major: int, *, durable: bool) -> list[str]:
    """Sorting by code point everywhere: the same order on every machine."""
    locale = ["--locale=C"]
    if major >= 17:
        locale += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    return [
        "--auth=trust",  # only the socket exists, in a folder of mode 700
        f"--username={SUPERUSER}",
        "--encoding=UTF8",
        *locale,
        *([] if durable else ["--no-sync"]),
    ]


def make_database(connection: "psycopg2.extensions.connection") -> None:
    """Safe to run twice."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [ROLE])
        if cursor.fetchone() is None:
            cursor.execute(f"CREATE ROLE {ROLE} LOGIN CREATEDB")
        cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE])
        if cursor.fetchone() is None:
            cursor.execute(f"CREATE DATABASE {DATABASE} OWNER {ROLE}")
