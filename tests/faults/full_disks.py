"""F-21: the disk under a store is full. Needs root, for a small file system of its own."""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from random import Random

from tests.faults.checker import Found, check
from tests.faults.faults import fault
from tests.faults.harness import Installation, wait_until
from tests.faults.load import load, shop_of, user_of

ROOM_MB = {"postgres": 60, "redis": 8}


@contextmanager
def small_disk(house: Installation, store: str) -> Iterator[Path]:
    """The store's folder on a file system with little room; moved back at the end."""
    place = house.data_dir / store
    house.stop_store(store)
    used = int(subprocess.check_output(["du", "-sm", str(place)]).split()[0])
    aside = place.with_name(f"{store}.aside")
    place.rename(aside)
    place.mkdir(mode=0o700)
    size = f"size={used + ROOM_MB[store]}m,mode=700"
    subprocess.run(["mount", "-t", "tmpfs", "-o", size, "tmpfs", str(place)], check=True)
    try:
        move_all(aside, place)
        house.start_store(store)
        yield place
    finally:
        with suppress(KeyError):
            house.stop_store(store)
        move_all(place, aside)
        subprocess.run(["umount", "-l", str(place)], check=True)
        place.rmdir()
        aside.rename(place)
        house.start_store(store)


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


@fault(
    "F-21",
    "the disk of PostgreSQL, then that of Redis, is full for 10 s while events arrive",
    passes="acknowledged but missing 0; 503 or 429, never 500; all well 60 s after there is room",
    rounds=2,
)
def full_disk(house: Installation, rng: Random) -> Found:
    store = "postgres" if (house.folder / "filled").exists() else "redis"
    (house.folder / "filled").touch()
    if os.geteuid() != 0:
        return Found(wrong=["needs root: no small file system can be mounted"])
    with small_disk(house, store) as place:
        with load(house, rng, channels=(), events=5_000) as under_way:
            time.sleep(1)
            fill_up(place)
            under_way.inject()
            until = time.monotonic() + 10
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


def revive(house: Installation, store: str) -> bool:
    """A server that ended because it could not write is started again, as a supervisor does."""
    process = house.processes.get(store)
    if process is None or process.poll() is not None:
        with (house.folder / f"{store}.log").open("ab") as log:
            house.processes[store] = house.stores[store].start(output=log.fileno())
        time.sleep(0.5)
    return house.stores[store].answers()
