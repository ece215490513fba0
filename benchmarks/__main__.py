"""The benchmark suite: one table of figures against yardsticks of the same run.

    python -m benchmarks [ROW …]

Without names all rows run, and `benchmarks/RESULTS.md` is written. The stores are embedded ones in
a temporary folder, or those of DATABASE_URL and REDIS_URL, in a database of its own.
"""

import argparse
import importlib
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote, urlsplit, urlunsplit

from benchmarks.rows import Row, table, write_results

ROWS = {
    "event-endpoint": "benchmarks.event_endpoint",
    "ingest": "benchmarks.ingest",
    "app-launch": "benchmarks.app_launch",
    "fan-out": "benchmarks.fan_out",
    "serve": "benchmarks.serve",
    "similar-items-build": "benchmarks.similar_build",
    "templates": "benchmarks.liquid_templates",
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"any of {', '.join(ROWS)}")
    names = parser.parse_args().rows
    if unknown := [name for name in names if name not in ROWS]:
        parser.error(f"there is no row {unknown[0]}; the rows are {', '.join(ROWS)}")
    with tempfile.TemporaryDirectory(prefix="engage-bench-") as folder, stores(Path(folder)):
        rows = run(names or list(ROWS))
        if not names:
            write_results(rows, now=datetime.now(UTC))


def run(names: list[str]) -> list[Row]:
    rows: list[Row] = []
    for name in names:
        print(f"measuring {name} …", file=sys.stderr, flush=True)
        rows += importlib.import_module(ROWS[name]).run()
    print(table(rows))
    return rows


@contextmanager
def stores(folder: Path) -> Iterator[None]:
    """Servers, a database with our tables, and Redis keys that are gone afterwards."""
    os.environ["ENGAGE_DATA_DIR"] = str(folder)
    os.environ["ENGAGE_REDIS_PREFIX"] = f"bench-{os.getpid()}"
    os.environ["ENGAGE_STREAM_MAX_ENTRIES"] = "10000000"  # nobody takes entries off meanwhile
    os.environ.setdefault("SECRET_KEY", "a key for benchmarks only, of no use anywhere")
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "engage.settings")
    from engage.runner.servers import embedded_servers

    with embedded_servers(folder):
        import django

        django.setup()
        with database(), clean_redis():
            yield


@contextmanager
def database() -> Iterator[None]:
    """The embedded cluster is ours alone; of an external one we use a database of our own."""
    from django.core.management import call_command
    from django.db import connection

    outside = os.environ.get("DATABASE_URL")
    if not outside:
        call_command("migrate", verbosity=0)
        yield
        return
    theirs = connection.settings_dict["NAME"]
    name = connection.creation.create_test_db(verbosity=0, autoclobber=True, serialize=False)
    # For the servers that rows start as processes of their own.
    os.environ["DATABASE_URL"] = urlunsplit(urlsplit(outside)._replace(path=f"/{quote(name)}"))
    try:
        yield
    finally:
        connection.creation.destroy_test_db(theirs, verbosity=0)
        os.environ["DATABASE_URL"] = outside


@contextmanager
def clean_redis() -> Iterator[None]:
    from engage.lib.redis import client, key

    try:
        yield
    finally:
        for name in client().scan_iter(match=key("*"), count=1000):
            client().delete(name)


if __name__ == "__main__":
    main()
