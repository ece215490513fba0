"""The embedded PostgreSQL and Redis, for as long as something needs them."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from engage import env
from engage.lib.data_dir import socket_dir
from engage.lib.errors import EngageError
from engage.runner import children
from engage.runner.errors import StartFailed
from engage.runner.locks import held, read_owner, try_lock, write_owner
from engage.runner.stores import PostgresStore, RedisStore, Store

READY_SECONDS = 60.0  # crash recovery of a busy database takes a while
LOOK_SECONDS = 0.02
STOP_SECONDS = 10.0
MAKE_TABLES = frozenset({"migrate", "showmigrations", "sqlmigrate", "test", "dbshell"})
NEED_NO_SERVERS = frozenset(
    {"up", "demo", "help", "version", "check", "collectstatic", "makemigrations", "diffsettings"}
    | {"evaluate_recommendations", "makemessages", "compilemessages", "startapp"}
)


@contextmanager
def embedded_servers(data_dir: Path, *, durable: bool = True) -> Iterator[None]:
    """PostgreSQL and Redis of `data_dir`, each unless the environment names another.

    Where another process of ours runs them already, that one is used.

    Raises
    ------
    ServerMissing, StartFailed
        With what to do.
    """
    stores = list_stores(data_dir, durable=durable)
    if not stores:
        yield
        return
    lock = find_owner_or_own(data_dir, stores)
    if lock is None:
        with using(data_dir):
            yield
        return
    with held(lock), started(stores, data_dir):
        yield
        wait_for_users(data_dir)


@contextmanager
def servers_for_command(arguments: Sequence[str]) -> Iterator[None]:
    """For manage.py: the embedded servers while one command runs, if it needs any."""
    if not needs_servers(arguments):
        yield
        return
    from django.conf import settings

    with ExitStack() as servers:
        try:
            servers.enter_context(embedded_servers(settings.DATA_DIR))
        except EngageError as exc:
            raise SystemExit(f"engage: {exc.message}") from exc
        if settings.EMBEDDED_DATABASE and arguments[0] not in MAKE_TABLES:
            make_first_tables()
        yield


@contextmanager
def told_in_a_sentence() -> Iterator[None]:
    """For manage.py: a named server that is away or refuses us is not our traceback."""
    import redis
    from django.db.utils import OperationalError

    try:
        yield
    except OperationalError as exc:
        raise SystemExit(f"engage: {database_trouble(exc)}") from exc
    except redis.ConnectionError as exc:
        raise SystemExit(f"engage: The Redis of REDIS_URL cannot be used: {exc}") from exc


def database_trouble(exc: Exception) -> str:
    """The first line has all that matters; the next are advice for other programs."""
    reason = next(iter(str(exc).splitlines()), type(exc).__name__).removesuffix(":")
    return f"The PostgreSQL of DATABASE_URL cannot be used: {reason}"


def make_first_tables() -> None:
    """The first command on a new embedded database finds its tables there."""
    import django
    from django.core.management import call_command
    from django.db import connection

    django.setup()
    if "django_migrations" not in connection.introspection.table_names():
        call_command("migrate", interactive=False, verbosity=0)


def needs_servers(arguments: Sequence[str]) -> bool:
    if os.environ.get("ENGAGE_INSTANCE"):  # a child of the runner, which looks after them
        return False
    if not arguments or {"-h", "--help", "--version"} & set(arguments):
        return False
    return arguments[0] not in NEED_NO_SERVERS


def list_stores(data_dir: Path, *, durable: bool = True) -> list[Store]:
    stores: list[Store] = []
    if not env.text("DATABASE_URL"):
        stores.append(PostgresStore(data_dir, durable=durable))
    if not env.text("REDIS_URL"):
        stores.append(RedisStore(data_dir, durable=durable))
    return stores


def owner_file(data_dir: Path) -> Path:
    return data_dir / "locks" / "servers"


def users_file(data_dir: Path) -> Path:
    return data_dir / "locks" / "users"


@contextmanager
def using(data_dir: Path) -> Iterator[None]:
    """Keeps the owner, when it is a command, from stopping the servers under our feet."""
    lock = try_lock(users_file(data_dir), shared=True)
    if lock is None:  # the owner is just leaving; it will be found gone, like any server
        yield
        return
    with held(lock):
        yield


def wait_for_users(data_dir: Path) -> None:
    told = False
    while (lock := try_lock(users_file(data_dir))) is None:
        if not told:
            told = True
            print(
                "Done. Another command still uses the servers: they stop with it, or by Ctrl-C.",
                file=sys.stderr,  # standard output is the command's: a key, a list
            )
        time.sleep(LOOK_SECONDS)
    os.close(lock)


def find_owner_or_own(data_dir: Path, stores: Sequence[Store]) -> int | None:
    """Our lock on the servers, or None as soon as the ones of another process answer."""
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        lock = try_lock(owner_file(data_dir))
        if lock is not None:
            write_owner(lock, f"process {os.getpid()}")
            return lock
        if all(store.answers() for store in stores):
            return None
        time.sleep(LOOK_SECONDS)
    owner = read_owner(owner_file(data_dir))
    raise StartFailed(f"The servers of {data_dir} belong to {owner} and do not answer.")


@contextmanager
def started(stores: Sequence[Store], data_dir: Path) -> Iterator[None]:
    running: list[tuple[Store, subprocess.Popen[bytes]]] = []
    try:
        for store in stores:
            running.append((store, start_logged(store, data_dir)))
        for store, child in running:
            wait_until_ready(store, child, log=log_file(data_dir, store))
        yield
    finally:
        for store, child in reversed(running):
            children.stop([child], first=store.parting, patience_seconds=STOP_SECONDS)
        forget_sockets(data_dir)


def start_logged(store: Store, data_dir: Path) -> "subprocess.Popen[bytes]":
    file = log_file(data_dir, store)
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with file.open("wb") as log:  # of this start only
        try:
            return store.start(output=log.fileno())
        except StartFailed as exc:
            raise StartFailed(f"{exc.message}\n{tail(file)}".strip()) from exc


def log_file(data_dir: Path, store: Store) -> Path:
    return data_dir / "log" / f"{store.name}.log"


def wait_until_ready(store: Store, child: "subprocess.Popen[bytes]", *, log: Path) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while not store.answers():
        if child.poll() is not None:
            raise StartFailed(f"{store.name} ended while starting.\n{tail(log)}")
        if time.monotonic() > deadline:
            raise StartFailed(f"{store.name} does not answer.\n{tail(log)}")
        time.sleep(LOOK_SECONDS)


def tail(file: Path, *, lines: int = 12) -> str:
    try:
        return "\n".join(file.read_text(errors="replace").splitlines()[-lines:])
    except OSError:
        return ""


def forget_sockets(data_dir: Path) -> None:
    """A folder of sockets outside the data folder goes when it is empty."""
    folder = socket_dir(data_dir)
    if not folder.is_relative_to(data_dir):
        with suppress(OSError):
            folder.rmdir()
