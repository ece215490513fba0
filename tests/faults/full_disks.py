"""F-21: a disk is full. Needs root, for a small file system of its own."""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from random import Random

from tests.faults import nemesis
from tests.faults.checker import Found, check
from tests.faults.crash_points import command, live_build, prepare_builds
from tests.faults.faults import fault
from tests.faults.harness import Installation, wait_until
from tests.faults.load import load, shop_of, user_of

ROOM_MB = {"postgres": 60, "redis": 8, "artifacts": 4, "logs": 1}
FULL_SECONDS = 10


@contextmanager
def small_disk(house: Installation, store: str) -> Iterator[Path]:
    """The store's folder on a file system with little room; moved back at the end."""
    house.stop_store(store)
    with small_volume(house.data_dir / store, room_mb=ROOM_MB[store]) as place:
        house.start_store(store)
        try:
            yield place
        finally:
            with suppress(KeyError):
                house.stop_store(store)
    house.start_store(store)


@contextmanager
def small_volume(place: Path, *, room_mb: int) -> Iterator[Path]:
    """What is in the folder moves to a small file system in its place, and back at the end."""
    place.mkdir(mode=0o700, exist_ok=True)
    used = int(subprocess.check_output(["du", "-sm", str(place)]).split()[0])
    aside = place.with_name(f"{place.name}.aside")
    place.rename(aside)
    place.mkdir(mode=0o700)
    size = f"size={used + room_mb}m,mode=700"
    subprocess.run(["mount", "-t", "tmpfs", "-o", size, "tmpfs", str(place)], check=True)
    try:
        move_all(aside, place)
        yield place
    finally:
        move_all(place, aside)
        subprocess.run(["umount", "-l", str(place)], check=True)
        place.rmdir()
        aside.rename(place)


def move_all(source: Path, target: Path) -> None:
    (source / "ballast").unlink(missing_ok=True)
    owner = source.stat()
    for entry in source.iterdir():
        subprocess.run(["cp", "-a", str(entry), str(target)], check=True)
    os.chown(target, owner.st_uid, owner.st_gid)
    for entry in source.iterdir():
        shutil.rmtree(entry) if entry.is_dir() else entry.unlink()


def fill_up(place: Path) -> None:
    with suppress(OSError), (place / "ballast").open("ab", buffering=0) as ballast:
        while True:
            ballast.write(b"x" * 65_536)
    with suppress(OSError), (place / "ballast").open("ab", buffering=0) as ballast:
        while True:
            ballast.write(b"x")


def full_store(store: str, house: Installation, rng: Random) -> Found:
    with small_disk(house, store) as place:
        with load(house, rng, channels=(), events=5_000) as under_way:
            time.sleep(1)
            fill_up(place)
            under_way.inject()
            until = time.monotonic() + FULL_SECONDS
            while time.monotonic() < until:
                revive(house, store)
                time.sleep(0.5)
            (place / "ballast").unlink()
            under_way.inject()
            room = time.monotonic()
            wait_until(lambda: revive(house, store), seconds=60, what=f"{store} answers")
            shop = shop_of(house)
            wait_until(
                lambda: (
                    shop.post("/v1/track", {"userId": user_of(0), "event": "Probed"})[0] == 200
                ),
                seconds=60,
                what="events are taken again",
            )
            served = time.monotonic() - room
        found = check(under_way)
        found.note("served_after_s", served)
    return found


for store, whose in (("postgres", "PostgreSQL"), ("redis", "Redis")):
    fault(
        f"F-21-{store}",
        f"the disk of {whose} is full for {FULL_SECONDS} s while events arrive",
        passes="acknowledged but missing 0; 503 or 429, never 500; well 60 s after there is room",
        rounds=2,
        needs_root=True,
    )(partial(full_store, store))


@fault(
    "F-21-artifacts",
    "the disk of the artifacts is full when a build is made",
    passes="it fails and says why; the last good one is served; the next build goes live",
    rounds=2,
    needs_root=True,
)
def full_artifacts(house: Installation, rng: Random) -> Found:
    prepare_builds(house, rng)
    artifacts = house.data_dir / "artifacts"
    with small_volume(artifacts, room_mb=ROOM_MB["artifacts"]) as place:
        command(house, "build_recommendations", "default")
        before = live_build(house)
        fill_up(place)
        found = Found(injections=1)
        said = command(house, "build_recommendations", "default", ends_with=1)
        wanted = f"cannot be written to {place}: No space left on device."
        [(state, reason)] = house.ask(
            "SELECT state, reason FROM recommendations_build ORDER BY id DESC LIMIT 1"
        )
        found.expect(wanted in said, f"the command says {said[-300:]!r}")
        found.expect((state, wanted in reason) == ("failed", True), f"it is {state}: {reason}")
        found.expect(live_build(house) == before, "another build is live")
        found.expect(not list(place.glob("*.partial")), "half an artifact is left")
        found.expect(served_build(house) == before, f"{served_build(house)} is served")
        (place / "ballast").unlink()
        command(house, "build_recommendations", "default")
        after = live_build(house)
        found.expect(after > before, "the next build did not go live")
        wait_until(lambda: served_build(house) == after, seconds=10, what=f"{after} is served")
    return found


def served_build(house: Installation) -> int | None:
    shop = shop_of(house, server=True)
    status, said = shop.call("GET", f"/v1/recommendations?userId={user_of(1)}&n=5")
    assert (status, len(said["items"])) == (200, 5), (status, said)
    return said["build"]


@fault(
    "F-21-logs",
    "the disk that all logs go to is full while campaigns are sent and a program dies",
    passes="lost 0, dup 0; what is said is heard again when there is room",
    rounds=2,
    needs_root=True,
)
def full_logs(house: Installation, rng: Random) -> Found:
    house.stop_programs()
    with small_volume(house.logs, room_mb=ROOM_MB["logs"]) as place:
        for store in house.stores:  # they write there, too
            house.stop_store(store)
            house.start_store(store)
        house.start_programs()
        fill_up(place)
        with load(house, rng) as under_way:
            under_way.wait_for_calls(0.2)
            nemesis.kill(house.program("ingest"))  # of which `up` has something to say
            under_way.inject()
            found = check(under_way)
        words = (place / "up.log").stat().st_size
        (place / "ballast").unlink()
        nemesis.kill(house.program("ingest"))
        wait_until(
            lambda: (place / "up.log").stat().st_size > words, seconds=30, what="a word is heard"
        )
        house.stop_programs()
    return found


def revive(house: Installation, store: str) -> bool:
    """A server that ended because it could not write is started again, as a supervisor does."""
    process = house.processes.get(store)
    if process is None or process.poll() is not None:
        with (house.logs / f"{store}.log").open("ab") as log:
            house.processes[store] = house.stores[store].start(output=log.fileno())
        time.sleep(0.5)
    return house.stores[store].answers()
