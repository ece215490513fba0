"""The embedded servers, real ones, each test in a folder of its own."""

import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
from pathlib import Path

import psycopg2
import pytest
import redis

from engage.lib.data_dir import socket_dir
from engage.runner import binaries, stores
from engage.runner.errors import ServerMissing, StartFailed
from engage.runner.launch import find_ordinary_id
from engage.runner.locks import try_lock
from engage.runner.servers import (
    embedded_servers,
    needs_servers,
    owner_file,
    servers_for_command,
)
from tests.engage.runner.family import OWN_SERVERS, list_family, wait_until

HOLD = """
import sys
from pathlib import Path
from engage.runner.servers import embedded_servers
with embedded_servers(Path(sys.argv[1]), durable=False):
    print("ready", flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def own_servers(monkeypatch):
    for name, value in OWN_SERVERS.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(scope="module")
def made_before(tmp_path_factory) -> Path:
    """Files of an earlier start; making them takes most of the time of a test."""
    data_dir = tmp_path_factory.mktemp("made")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in OWN_SERVERS.items():
            patch.setenv(name, value)
        with embedded_servers(data_dir, durable=False):
            pass
    return data_dir


@pytest.fixture
def new_dir(tmp_path) -> Path:
    return tmp_path / "a folder"


@pytest.fixture
def data_dir(new_dir, made_before) -> Path:
    shutil.copytree(made_before / "postgres", new_dir / "postgres")
    return new_dir


def ask_postgres(data_dir: Path, question: str = "SELECT current_user") -> object:
    connection = psycopg2.connect(
        host=str(socket_dir(data_dir)), port=5432, user="engage", dbname="engage"
    )
    connection.autocommit = True
    try:
        with connection.cursor() as cursor:
            cursor.execute(question)
            return cursor.fetchone()[0] if cursor.description else None
    finally:
        connection.close()


def redis_of(data_dir: Path) -> redis.Redis:
    return redis.Redis(unix_socket_path=str(socket_dir(data_dir) / "redis.sock"))


def hold_in_another_process(data_dir: Path) -> subprocess.Popen:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(data_dir)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout.readline() == "ready\n"
    return holder


def kill(process: subprocess.Popen) -> None:
    process.kill()
    process.wait()
    process.stdin.close()
    process.stdout.close()
    process.stderr.close()


def test_second_start_continues_the_data_of_the_first(new_dir):
    with embedded_servers(new_dir, durable=False):
        ask_postgres(new_dir, "CREATE TABLE kept AS SELECT 7 AS number")
        redis_of(new_dir).set("kept", "8")

    with embedded_servers(new_dir, durable=False):
        assert ask_postgres(new_dir, "SELECT number FROM kept") == 7
        assert redis_of(new_dir).get("kept") == b"8"

    assert list_family(new_dir) == []


def test_servers_have_sockets_in_a_private_folder_and_no_port(data_dir):
    with embedded_servers(data_dir, durable=False):
        assert ask_postgres(data_dir, "SHOW listen_addresses") == ""
        assert redis_of(data_dir).config_get("port") == {"port": "0"}
        assert stat.S_IMODE(socket_dir(data_dir).stat().st_mode) == 0o700
        assert ask_postgres(data_dir, "SHOW unix_socket_permissions") == "0700"


def test_redis_writes_to_the_disk_before_it_answers_and_never_evicts(data_dir):
    with embedded_servers(data_dir, durable=False):
        found = redis_of(data_dir).config_get("*")

    assert (found["appendonly"], found["appendfsync"]) == ("yes", "always")
    assert found["maxmemory-policy"] == "noeviction"


def test_database_belongs_to_a_role_without_special_rights(data_dir):
    with embedded_servers(data_dir, durable=False):
        assert ask_postgres(data_dir) == "engage"
        assert ask_postgres(data_dir, "SHOW is_superuser") == "off"
        assert ask_postgres(data_dir, "SHOW server_encoding") == "UTF8"


def test_second_process_uses_the_running_servers(data_dir):
    holder = hold_in_another_process(data_dir)
    try:
        with embedded_servers(data_dir, durable=False):
            assert try_lock(owner_file(data_dir)) is None
            assert ask_postgres(data_dir) == "engage"
        assert ask_postgres(data_dir) == "engage"  # they go on when the second is done
    finally:
        kill(holder)
    wait_until(lambda: list_family(data_dir) == [], seconds=5)


def test_owner_that_is_done_waits_for_the_second_process(data_dir):
    holder = hold_in_another_process(data_dir)
    with embedded_servers(data_dir, durable=False):
        holder.stdin.close()
        with pytest.raises(subprocess.TimeoutExpired):
            holder.wait(0.3)
        assert ask_postgres(data_dir) == "engage"
    assert holder.wait(10) == 0
    assert "Another command still uses the servers" in holder.stderr.read()
    assert holder.stdout.read() == ""  # it is the command's own
    holder.stdout.close()
    holder.stderr.close()
    assert list_family(data_dir) == []


def test_first_command_on_a_new_folder_finds_its_tables(new_dir):
    made = subprocess.run(
        [sys.executable, "manage.py", "create_key", "till"],
        env={**os.environ, **OWN_SERVERS, "ENGAGE_DATA_DIR": str(new_dir)},
        capture_output=True,
        text=True,
    )
    assert (made.returncode, len(made.stdout.split())) == (0, 1), made.stderr


def test_killed_owner_leaves_no_server_and_the_next_start_goes_on(data_dir):
    holder = hold_in_another_process(data_dir)
    ask_postgres(data_dir, "CREATE TABLE kept AS SELECT 7 AS number")
    kill(holder)

    wait_until(lambda: list_family(data_dir) == [], seconds=5)
    with embedded_servers(data_dir, durable=False):
        assert ask_postgres(data_dir, "SELECT number FROM kept") == 7


def test_start_after_everything_was_killed_does_not_trust_stale_files(data_dir):
    holder = hold_in_another_process(data_dir)
    server = int((data_dir / "postgres" / "postmaster.pid").read_text().split()[0])
    os.kill(server, signal.SIGKILL)
    kill(holder)
    # The number in the file now belongs to a process that lives.
    stale = data_dir / "postgres" / "postmaster.pid"
    stale.write_text(stale.read_text().replace(str(server), str(os.getpid()), 1))

    with embedded_servers(data_dir, durable=False):
        assert ask_postgres(data_dir) == "engage"


def hear_interrupts() -> None:
    """A shell that starts the tests in the background has all of them ignore interrupts."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_interrupted_command_stops_its_servers_and_says_no_more_than_that(data_dir):
    command = subprocess.Popen(
        [sys.executable, "manage.py", "shell", "-v0", "-c", "print('in', flush=True); input()"],
        env={**os.environ, **OWN_SERVERS, "ENGAGE_DATA_DIR": str(data_dir)},
        stdin=subprocess.PIPE,
        preexec_fn=hear_interrupts,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert command.stdout.readline() == "in\n"
    command.send_signal(signal.SIGINT)
    _, words = command.communicate(timeout=10)
    assert (command.returncode, words) == (130, "engage: interrupted\n")
    assert list_family(data_dir) == []


def test_reader_that_has_enough_ends_a_command_without_a_traceback(data_dir):
    command = subprocess.Popen(
        [sys.executable, "manage.py", "shell", "-v0", "-c", "while True: print('line ' * 1000)"],
        env={**os.environ, **OWN_SERVERS, "ENGAGE_DATA_DIR": str(data_dir)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    command.stdout.readline()
    command.stdout.close()
    with command.stderr as words:
        assert words.read() == ""
    assert command.wait(10) == 141
    assert list_family(data_dir) == []


@pytest.mark.parametrize("command", [["create_key", "till"], ["up"]])
def test_named_server_that_does_not_answer_is_said_in_a_sentence(new_dir, command):
    named = {
        "DATABASE_URL": "postgres://ada:hush@127.0.0.1:1/shop",
        "REDIS_URL": "redis://127.0.0.1:1",
    }
    told = subprocess.run(
        [sys.executable, "manage.py", *command],
        env={**os.environ, **OWN_SERVERS, **named, "ENGAGE_DATA_DIR": str(new_dir)},
        capture_output=True,
        text=True,
    )
    last = told.stderr.splitlines()[-1]
    assert "PostgreSQL of DATABASE_URL cannot be used: connection to server at" in last
    assert told.returncode == 1
    assert "Traceback" not in told.stderr
    assert "hush" not in told.stderr


def test_half_made_database_is_made_anew(new_dir):
    (new_dir / "postgres.new").mkdir(parents=True)
    (new_dir / "postgres.new" / "PG_VERSION").write_text("18\n")

    with embedded_servers(new_dir, durable=False):
        assert ask_postgres(new_dir) == "engage"


def test_path_too_long_for_a_socket_works(tmp_path):
    data_dir = tmp_path / ("long" * 40)
    with embedded_servers(data_dir, durable=False):
        outside = socket_dir(data_dir)
        assert not outside.is_relative_to(data_dir)
        assert ask_postgres(data_dir) == "engage"
    assert not outside.exists()


def test_folder_above_keeps_its_mode(tmp_path):
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    with embedded_servers(home / "shop" / "var", durable=False):
        assert ask_postgres(home / "shop" / "var") == "engage"
    assert stat.S_IMODE(home.stat().st_mode) == 0o700


def test_socket_folder_that_others_may_enter_is_refused(new_dir):
    socket_dir(new_dir).mkdir(parents=True)
    socket_dir(new_dir).chmod(0o755)

    with (
        pytest.raises(StartFailed, match="belongs to you alone"),
        embedded_servers(new_dir, durable=False),
    ):
        pass
    assert list_family(new_dir) == []


def test_named_servers_are_not_started(new_dir, monkeypatch):
    monkeypatch.setenv("DATABASE_URL", "postgres://somewhere/db")
    monkeypatch.setenv("REDIS_URL", "redis://somewhere")
    with embedded_servers(new_dir):
        assert not new_dir.exists()


def test_each_server_is_started_or_not_on_its_own(new_dir, monkeypatch):
    monkeypatch.setenv("DATABASE_URL", "postgres://somewhere/db")
    with embedded_servers(new_dir):
        assert redis_of(new_dir).ping()
        assert not (new_dir / "postgres").exists()


def require(identity):
    server = binaries.find_postgres(major=None).server
    if not stores.works(server, identity=identity):
        pytest.skip(f"PostgreSQL cannot be run by {identity} here: {server}")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has to become somebody else")
def test_a_program_below_a_private_folder_is_not_offered_to_the_account(tmp_path):
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    program = private / "program"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    assert stores.works(program, identity="same")
    assert not stores.works(program, identity="account")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has to become somebody else")
@pytest.mark.parametrize("identity", ["namespace", "account"])
def test_root_starts_postgres_either_way(data_dir, monkeypatch, identity):
    require(identity)
    os.chmod(data_dir.parent, 0o700)
    monkeypatch.setattr(stores, "find_identity", lambda program: identity)
    with embedded_servers(data_dir, durable=False):
        assert ask_postgres(data_dir) == "engage"
    assert list_family(data_dir) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has to become somebody else")
def test_files_made_in_one_way_are_used_in_the_other(data_dir, monkeypatch):
    for identity in ("namespace", "account", "namespace"):
        require(identity)
        monkeypatch.setattr(stores, "find_identity", lambda program, way=identity: way)
        with embedded_servers(data_dir, durable=False):
            ask_postgres(data_dir, "CREATE TABLE IF NOT EXISTS kept (number int)")
            assert ask_postgres(data_dir, "SELECT count(*) FROM kept") == 0


def test_data_of_another_major_version_is_refused_with_what_to_do(new_dir):
    (new_dir / "postgres").mkdir(parents=True)
    (new_dir / "postgres" / "PG_VERSION").write_text("14\n")

    with pytest.raises(ServerMissing, match="made by PostgreSQL 14"), embedded_servers(new_dir):
        pass
    assert list_family(new_dir) == []


def test_missing_server_says_what_to_install(monkeypatch):
    monkeypatch.setattr(binaries, "package_folder", lambda name: None)
    monkeypatch.setattr(binaries, "system_folders", list)
    monkeypatch.setattr(binaries.shutil, "which", lambda name: None)

    with pytest.raises(ServerMissing, match="Or set DATABASE_URL"):
        binaries.find_postgres()
    with pytest.raises(ServerMissing, match="Or set REDIS_URL"):
        binaries.find_redis()


def test_system_servers_are_used_where_there_is_no_wheel(new_dir, monkeypatch):
    installed = next(binaries.system_folders(), None)
    if installed is None or not binaries.shutil.which("redis-server"):
        pytest.skip("no PostgreSQL and Redis are installed on this system")
    monkeypatch.setattr(binaries, "package_folder", lambda name: None)
    with embedded_servers(new_dir, durable=False):
        version = int(str(ask_postgres(new_dir, "SHOW server_version_num"))) // 10000
        assert version == binaries.find_postgres().major
        assert redis_of(new_dir).ping()


@pytest.mark.parametrize(
    ("arguments", "needed"),
    [
        (["migrate"], True),
        (["load_events", "file.csv"], True),
        (["up"], False),
        (["demo", "--once"], False),
        (["help"], False),
        (["migrate", "--help"], False),
        ([], False),
        (["makemigrations", "--check"], False),
        (["evaluate_recommendations"], False),
    ],
)
def test_commands_that_need_servers(arguments, needed):
    assert needs_servers(arguments) is needed


def test_child_of_the_runner_starts_no_servers(monkeypatch, new_dir, settings):
    monkeypatch.setenv("ENGAGE_INSTANCE", "a nonce")
    settings.DATA_DIR = new_dir
    with servers_for_command(["ingest"]):
        assert not new_dir.exists()


def test_the_ordinary_id_inside_the_namespace_has_a_name_and_is_not_root():
    ordinary = find_ordinary_id()
    assert ordinary != 0
    assert pwd.getpwuid(ordinary).pw_name


def test_a_number_without_a_name_does_not_run_postgres_as_it_is(monkeypatch, tmp_path):
    monkeypatch.setattr(os, "geteuid", lambda: 4_000_000)
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    assert stores.find_identity(program) != "same"


def test_program_that_hangs_is_a_failed_start(monkeypatch, tmp_path):
    def hang(line, *, timeout, **options):
        raise subprocess.TimeoutExpired(line, timeout)

    monkeypatch.setattr(stores.subprocess, "run", hang)
    with pytest.raises(StartFailed, match="did not say its version"):
        stores.works(tmp_path / "postgres", identity="same")
