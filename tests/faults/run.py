"""Break an installation in every way of the list, and print one JSON line per fault.

python -m tests.faults.run [--only F-01,F-14] [--rounds N] [--seed S] [--minutes M] [--lanes 2]
                           [--keep FOLDER] [--write-docs] [--list]

A round waits most of its time, for a lease or a limit to end. So two installations are broken side
by side, each by the next of the list, and what measures time against time follows alone.
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
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from subprocess import PIPE
from threading import Lock

from tests.faults import page
from tests.faults.checker import Found
from tests.faults.errors import Wrong
from tests.faults.faults import FAULTS, Fault
from tests.faults.harness import OWN_NAMES, ROOT, Installation, wait_until, without

# They compare times, and are played when nothing else is.
ALONE = {"F-03", "F-07", "F-13", "F-23"}
NOT_ROOT = "skipped, because only root can mount a small file system"
ANSWER_SECONDS = 180.0  # until workers have loaded, where others want the same cores
under_way: "list[subprocess.Popen[str]]" = []
one_at_a_time = Lock()


def main() -> int:
    options = read_options()
    import_faults()
    for asked in (signal.SIGTERM, signal.SIGINT):
        signal.signal(asked, stop)
    if options.list:
        for number in choose(options.only):
            print(f"{number}  {FAULTS[number].rounds:3} rounds  {FAULTS[number].title}")
        return 0
    options.seed = options.seed or random.SystemRandom().randrange(1, 2**31)
    numbers = choose(options.only)
    if options.lanes > 1 and len(numbers) > 1:
        passed = run_lanes(numbers, options)
    else:
        with (
            tempfile.TemporaryDirectory(prefix="engage-faults-") as place,
            installation(Path(place) / "house") as house,
        ):
            asked = map(str.strip, iter(sys.stdin.readline, "")) if options.ask else numbers
            passed = run_all(house, asked, options)
    return 0 if passed else 1


def run_lanes(numbers: list[str], options: argparse.Namespace) -> bool:
    """Each lane takes the next fault when it is done with its last."""
    until = time.monotonic() + options.minutes * 60
    together = deque(number for number in numbers if number not in ALONE)
    alone = deque(number for number in numbers if number in ALONE)
    passed = True
    for waiting, lanes in ((together, options.lanes), (alone, 1)):
        count = min(lanes, len(waiting))
        with ThreadPoolExecutor(max(count, 1)) as pool:
            play = partial(run_lane, options=options, until=until)
            passed = all(list(pool.map(play, [waiting] * count))) and passed
    return passed and not together and not alone


def run_lane(waiting: deque[str], *, options: argparse.Namespace, until: float) -> bool:
    """Faults in a process of their own, one after the other; its lines are ours."""
    left = max((until - time.monotonic()) / 60, 0.0)
    line = [
        sys.executable, "-m", "tests.faults.run", "--lanes=1", "--ask",
        f"--seed={options.seed}", f"--minutes={left}",
        *([f"--rounds={options.rounds}"] if options.rounds else []),
        *([f"--keep={options.keep}"] if options.keep else []),
    ]  # fmt: skip
    env = without(OWN_NAMES)
    with subprocess.Popen(line, cwd=ROOT, env=env, stdin=PIPE, stdout=PIPE, text=True) as process:
        under_way.append(process)
        assert process.stdin is not None
        assert process.stdout is not None
        with suppress(IndexError, BrokenPipeError):  # nothing waits, or it ended
            while True:
                print(waiting.popleft(), file=process.stdin, flush=True)
                while (said := process.stdout.readline()) and not said.startswith("{"):
                    say(said.rstrip())  # the words of a command that a fault called
                if not said:
                    break
                with one_at_a_time:
                    tell(json.loads(said), options)
        with suppress(BrokenPipeError):
            process.stdin.close()
    return process.returncode == 0


def stop(*_: object) -> None:
    """Clean up, also where a shell ignores Ctrl-C."""
    for process in under_way:
        process.terminate()
    sys.exit(1)


def tell(line: dict[str, object], options: argparse.Namespace) -> None:
    print(json.dumps(line), flush=True)
    if options.write_docs and "skipped" not in line:
        page.add(line)
        page.write()


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="numbers with commas between them")
    parser.add_argument("--rounds", type=int, help="of each fault; else its own number")
    parser.add_argument("--seed", type=int, default=0, help="0: a new one, which is printed")
    parser.add_argument("--minutes", type=float, default=60.0, help="no round begins later")
    parser.add_argument("--lanes", type=int, default=2, help="installations side by side")
    parser.add_argument("--ask", action="store_true", help="read each number from standard input")
    parser.add_argument("--keep", type=Path, help="where the logs of a failed round are kept")
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
        triggering,
        webhooks,
        workers,
    )


def keep(house: Installation, target: Path) -> None:
    """The words of all programs, to read what happened."""
    target = target / datetime.now(UTC).strftime("%H-%M-%S")
    target.mkdir(parents=True, exist_ok=True)
    for file in (*house.logs.iterdir(), *house.folder.glob("*.calls")):
        shutil.copy(file, target)


def run_all(house: Installation, numbers: Iterable[str], options: argparse.Namespace) -> bool:
    until = time.monotonic() + options.minutes * 60
    passed = True
    for number in numbers:
        if time.monotonic() > until:
            say(f"{number}: no time is left")
            return False
        if FAULTS[number].needs_root and os.geteuid() != 0:
            say(f"{number}: {NOT_ROOT}")
            tell({"test": number, "skipped": NOT_ROOT}, options)
            continue
        line = run_fault(house, FAULTS[number], options, until=until)
        passed = passed and bool(line["passed"])
        tell(line, options)
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
    house: Installation, one: Fault, options: argparse.Namespace, *, until: float
) -> dict[str, object]:
    """After a round that broke off, and a fault that was wrong, the installation is a new one."""
    total, played, begun, seed = Found(), 0, time.monotonic(), options.seed
    found = Found()
    for number in range(options.rounds or one.rounds):
        if time.monotonic() > until:
            break
        started = time.monotonic()
        found = play(house, one, random.Random(f"{seed} {one.number} {number}"))
        total.add(found)
        played += 1
        verdict = "; ".join(found.wrong) or "ok"
        say(f"{one.number} round {number + 1} seed {seed}: {verdict} "
            f"({time.monotonic() - started:.0f} s, unknown {found.unknown})")  # fmt: skip
        if found.wrong and options.keep:
            keep(house, options.keep)
        if found.broke_off:
            renew(house)
    if total.wrong and not found.broke_off:
        renew(house)
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
    """A round that cannot be finished is a failed one."""
    from django.db import connection

    from tests.faults import load

    connection.close()  # the last round may have broken it
    try:
        house.start_absent_stores()
        house.start_programs(**one.env)
        wait_until(is_answered_by_workers, seconds=ANSWER_SECONDS, what="the workers answer")
        if not house.prepared:
            load.fill(house)
            house.prepared = True
        return one.play(house, rng)
    except Exception as exc:
        if not isinstance(exc, Wrong):
            import traceback

            traceback.print_exc()
        return Found(wrong=[f"{type(exc).__name__}: {exc}"], broke_off=True)


def renew(house: Installation) -> None:
    from django.core.management import call_command
    from django.db import connection

    connection.close()
    house.renew()
    call_command("migrate", interactive=False, verbosity=0)


def is_answered_by_workers() -> bool:
    """`up` is ready as soon as the doors are; its three workers load for some seconds more."""
    from kombu.exceptions import OperationalError

    from engage.celery import app

    try:  # on a connection of its own: the last fault may have broken the others
        with app.connection_for_write() as broker:
            return len(app.control.ping(timeout=5.0, limit=3, connection=broker)) >= 3
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
