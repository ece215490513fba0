"""Break an installation in every way of the list, and print one JSON line per fault.

python -m tests.faults.run [--only F-01,F-14] [--rounds N] [--seed S] [--minutes M]
                           [--out FILE] [--write-docs] [--list]
"""

import argparse
import json
import os
import platform
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from tests.faults import page
from tests.faults.checker import Found
from tests.faults.errors import Wrong
from tests.faults.faults import FAULTS, Fault
from tests.faults.harness import ROOT, Installation, wait_until


def main() -> int:
    options = read_options()
    import_faults()
    for asked in (signal.SIGTERM, signal.SIGINT):  # cleans up, also where a shell ignores Ctrl-C
        signal.signal(asked, lambda *_: sys.exit(1))
    if options.list:
        for number in choose(options.only):
            print(f"{number}  {FAULTS[number].rounds:3} rounds  {FAULTS[number].title}")
        return 0
    with (
        tempfile.TemporaryDirectory(prefix="engage-faults-") as place,
        installation(Path(place) / "house") as house,
    ):
        passed = run_all(house, options)
        if not passed and options.keep:
            keep(house, options.keep)
    return 0 if passed else 1


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="numbers with commas between them")
    parser.add_argument("--rounds", type=int, help="of each fault; else its own number")
    parser.add_argument("--seed", type=int, default=0, help="0: a new one, which is printed")
    parser.add_argument("--minutes", type=float, default=60.0, help="no round begins later")
    parser.add_argument("--keep", type=Path, help="a copy of the folder when something is wrong")
    parser.add_argument(
        "--write-docs", action="store_true", help="the lines go into docs/reliability.md"
    )
    parser.add_argument("--list", action="store_true")
    return parser.parse_args()


@contextmanager
def installation(folder: Path) -> Iterator[Installation]:
    """Its environment is this process's own, so Django here works on its database."""
    with Installation(folder) as house:
        import django
        from django.core.management import call_command

        django.setup()
        call_command("migrate", interactive=False, verbosity=0)
        yield house


def import_faults() -> None:
    from tests.faults import (  # noqa: F401 - each adds its own
        collecting,
        crash_points,
        elsewhere,
        full_disks,
        providers,
        receipts,
        scheduling,
        stores,
        workers,
    )


def keep(house: Installation, target: Path) -> None:
    """The words of all programs, to read what happened."""
    target.mkdir(parents=True, exist_ok=True)
    for file in (*house.logs.iterdir(), *house.folder.glob("*.calls")):
        shutil.copy(file, target)


def run_all(house: Installation, options: argparse.Namespace) -> bool:
    seed = options.seed or random.SystemRandom().randrange(1, 2**31)
    wanted = choose(options.only)
    until = time.monotonic() + options.minutes * 60
    passed = True
    for number in wanted:
        if time.monotonic() > until:
            say(f"{number}: no time is left")
            return False
        if FAULTS[number].needs_root and os.geteuid() != 0:
            say(f"{number}: skipped, because only root can mount a small file system")
            continue
        line = run_fault(house, FAULTS[number], seed=seed, rounds=options.rounds, until=until)
        passed = passed and line["passed"]
        print(json.dumps(line), flush=True)
        if options.write_docs:
            page.add(line)
            page.write()
    return passed


def choose(only: str) -> list[str]:
    """The faults of these numbers, and those below them: F-11 has one for each crash point."""
    names = [name for name in only.split(",") if name]
    unknown = [name for name in names if not any(is_below(one, name) for one in FAULTS)]
    if unknown:
        raise SystemExit(f"There is no fault {', '.join(unknown)}; --list has them.")
    return [one for one in FAULTS if not names or any(is_below(one, name) for name in names)]


def is_below(number: str, name: str) -> bool:
    return number == name or number.startswith(f"{name}-")


def run_fault(
    house: Installation, one: Fault, *, seed: int, rounds: int | None, until: float
) -> dict[str, object]:
    total, played, begun = Found(), 0, time.monotonic()
    for number in range(rounds or one.rounds):
        if time.monotonic() > until:
            break
        started = time.monotonic()
        found = play(house, one, random.Random(f"{seed} {one.number} {number}"))
        total.add(found)
        played += 1
        verdict = "; ".join(found.wrong) or "ok"
        say(f"{one.number} round {number + 1} seed {seed}: {verdict} "
            f"({time.monotonic() - started:.0f} s, unknown {found.unknown})")  # fmt: skip
    return {
        "test": one.number, "title": one.title, "passes": one.passes, "seed": seed,
        "rounds": played, "seconds": round(time.monotonic() - begun),
        "injections": total.injections, "acked": total.acked,
        "stored": total.stored, "planned": total.planned, "accepted": total.accepted,
        "lost": total.lost, "dup": total.dup, "unknown": total.unknown,
        "unknown_bound": total.unknown_bound, "recover_s_max": total.recover_s_max,
        "states": dict(total.states), **total.more, "git": git(), "versions": versions(),
        "day": f"{datetime.now(UTC):%Y-%m-%d}",
        "passed": bool(played) and not total.wrong, "wrong": total.wrong[:5],
    }  # fmt: skip


def play(house: Installation, one: Fault, rng: random.Random) -> Found:
    """A round that cannot be finished is a failed one; the next begins with new programs."""
    from django.db import connection

    from tests.faults import load

    connection.close()  # the last round may have broken it
    try:
        house.start_absent_stores()
        house.start_programs(**one.env)
        wait_until(is_answered_by_workers, seconds=60, what="the workers answer")
        if not house.prepared:
            load.fill(house)
            house.prepared = True
        return one.play(house, rng)
    except Exception as exc:
        house.stop_programs()
        if not isinstance(exc, Wrong):
            import traceback

            traceback.print_exc()
        return Found(wrong=[f"{type(exc).__name__}: {exc}"])


def is_answered_by_workers() -> bool:
    """`up` is ready as soon as the doors are; its three workers load for some seconds more."""
    from kombu.exceptions import OperationalError

    from engage.celery import app

    try:  # on a connection of its own: the last fault may have broken the others
        with app.connection_for_write() as broker:
            return len(app.control.ping(timeout=1.0, connection=broker)) >= 3
    except (OperationalError, OSError):
        return False


def say(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)


def git() -> str:
    said = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True
    )
    return said.stdout.strip()


def versions() -> dict[str, str]:
    from importlib.metadata import version

    names = ("django", "celery", "kombu", "redis", "psycopg2-binary")
    found = {"python": platform.python_version()}
    for name in names:
        try:
            found[name] = version(name)
        except ModuleNotFoundError:
            continue
    return found


if __name__ == "__main__":
    sys.exit(main())
