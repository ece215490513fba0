"""C20: a migration is killed half way, and run again."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from random import Random
from typing import Any

import psycopg2

from engage.lib.data_dir import socket_dir
from engage.runner.running import MANAGE_PY
from tests.faults.checker import Found
from tests.faults.errors import Wrong
from tests.faults.harness import Installation, wait_until

KILLS = 3
BEFORE = ("delivery", "0005")  # the next builds indexes beside writers, outside a transaction
OF_A_MONTH = re.compile(r"_\d{4}_\d{2}")  # a partition, which comes with its first event
# Everything that a migration makes, as PostgreSQL itself writes it down.
SCHEMA = """
SELECT 'column', table_name || '.' || column_name,
  concat_ws(' ', data_type, is_nullable, column_default)
FROM information_schema.columns WHERE table_schema = 'public'
UNION ALL SELECT 'index', i.indexrelid::regclass::text,
  pg_get_indexdef(i.indexrelid) || CASE WHEN i.indisvalid THEN '' ELSE ' is not valid' END
FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid
WHERE c.relnamespace = 'public'::regnamespace
UNION ALL SELECT 'constraint', conrelid::regclass || '.' || conname, pg_get_constraintdef(oid)
FROM pg_constraint WHERE connamespace = 'public'::regnamespace
"""


def migration_dies(house: Installation, rng: Random) -> Found:
    """In a new database: killed at random moments, and while an index is built beside writers."""
    found = Found(injections=KILLS + 1)
    with new_database(house, f"half_{rng.getrandbits(32):x}") as name:
        migrate(house, name, "auth")
        for _ in range(KILLS):
            kill_at_random(house, name, rng)
        migrate(house, name, *BEFORE)
        kill_beside_a_writer(house, name)
        migrate(house, name)
        wanted, has = schema_of(house, "engage"), schema_of(house, name)
        odd = sorted(wanted ^ has)
        found.lost = len(wanted - has)
        found.expect(not odd, f"the schemas differ in {len(odd)}: {odd[:3]}")
    return found


@contextmanager
def new_database(house: Installation, name: str) -> Iterator[str]:
    with autocommit(house, "engage") as ours:
        ours.execute(f"CREATE DATABASE {name}")
        try:
            yield name
        finally:
            ours.execute(f"DROP DATABASE {name} WITH (FORCE)")


@contextmanager
def autocommit(house: Installation, name: str) -> Iterator[Any]:
    sockets = str(socket_dir(house.data_dir))
    with closing(psycopg2.connect(host=sockets, port=5432, user="engage", dbname=name)) as one:
        one.autocommit = True
        with one.cursor() as cursor:
            yield cursor


def start_migrating(house: Installation, name: str, *words: str) -> "subprocess.Popen[bytes]":
    env = os.environ | {"DATABASE_URL": house.database_url().removesuffix("engage") + name}
    with (house.logs / "migrate.log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, MANAGE_PY, "migrate", "--verbosity=1", *words],
            env=env, stdout=log, stderr=log,
        )  # fmt: skip


def migrate(house: Installation, name: str, *words: str) -> None:
    with start_migrating(house, name, *words) as process:
        if process.wait(120) != 0:
            raise Wrong(f"migrations cannot be run again: {last_words(house)}")


def last_words(house: Installation) -> str:
    lines = (house.logs / "migrate.log").read_text().splitlines()
    return next((line for line in reversed(lines) if "Error" in line), "no word of why")


def kill_at_random(house: Installation, name: str, rng: Random) -> None:
    """After some more of the migrations before the concurrent ones, in the middle of the next."""
    with autocommit(house, name) as cursor:
        enough = count_done(cursor) + rng.randint(1, 4)
        with start_migrating(house, name, *BEFORE) as process:
            wait_until(
                lambda: count_done(cursor) >= enough or process.poll() is not None,
                seconds=60,
                what="migrations are carried out",
            )
            process.kill()


def count_done(cursor: Any) -> int:
    cursor.execute("SELECT to_regclass('django_migrations')")
    if cursor.fetchone()[0] is None:
        return 0
    cursor.execute("SELECT count(*) FROM django_migrations")
    return int(cursor.fetchone()[0])


def kill_beside_a_writer(house: Installation, name: str) -> None:
    """An open transaction holds up the index, and whoever builds it is killed meanwhile."""
    with autocommit(house, name) as writer, autocommit(house, name) as cursor:
        writer.execute("BEGIN; LOCK TABLE delivery_message IN ROW EXCLUSIVE MODE")
        with start_migrating(house, name) as process:
            wait_until(lambda: has_half_an_index(cursor), seconds=60, what="an index is begun")
            process.kill()
        writer.execute("ROLLBACK")


def has_half_an_index(cursor: Any) -> bool:
    cursor.execute("SELECT 1 FROM pg_index WHERE NOT indisvalid")
    return cursor.fetchone() is not None


def schema_of(house: Installation, name: str) -> set[tuple[str, ...]]:
    with autocommit(house, name) as cursor:
        cursor.execute(SCHEMA)
        return {row for row in cursor.fetchall() if not OF_A_MONTH.search(row[1])}
