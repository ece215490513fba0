"""Faults of PostgreSQL and Redis."""

import sys
import time
from contextlib import suppress
from http.client import HTTPException
from random import Random
from threading import Event, Thread

from engage.lib.data_dir import socket_dir
from tests.faults import nemesis
from tests.faults.checker import CONNECTION_ERRORS, Found, check
from tests.faults.faults import fault
from tests.faults.harness import ALL_IN_FLIGHT, SENDING_BATCHES, Installation, wait_until
from tests.faults.load import Load, load, shop_of, user_of

IN_FLIGHT = max(SENDING_BATCHES.values())
FAILED_WRITES = ALL_IN_FLIGHT  # marked, or answered, and the session is gone


@fault(
    "F-05",
    "kill -9 Redis, start it again after 0, 5 or 20 s",
    passes="lost 0, dup 0; the doors answer 503 meanwhile and serve 30 s after it is back",
    rounds=6,
)
def kill_redis(house: Installation, rng: Random) -> Found:
    with load(house, rng) as under_way:
        for seconds in rng.sample([0, 5, 20], 2):
            under_way.wait_for_calls(rng.uniform(0.1, 0.5))
            nemesis.outage(house, "redis", seconds=seconds)
            under_way.inject()
            back = time.monotonic()
            shop = shop_of(house)
            wait_until(lambda s=shop: is_served(s), seconds=30, what="events are taken again")
            served = time.monotonic() - back
    found = check(under_way)
    found.note("served_after_s", served)
    return found


def is_served(shop) -> bool:
    with suppress(OSError, HTTPException):
        return shop.post("/v1/track", {"userId": user_of(0), "event": "Probed"})[0] == 200
    return False


@fault(
    "F-07",
    "forget all hints and the whole broker every 2 s during a campaign",
    passes="lost 0, dup 0, at most 2 × the undisturbed time",
    rounds=2,
)
def forget_everything(house: Installation, rng: Random) -> Found:
    with load(house, rng) as calm:
        pass
    found = check(calm)
    undisturbed = until_over(calm)
    with load(house, rng) as under_way:
        while not under_way.is_over():
            time.sleep(2.0)
            nemesis.forget_hints(house)
            under_way.inject()
    took = until_over(under_way)
    found.add(check(under_way))
    found.note("times_undisturbed", took / undisturbed)
    found.expect(took <= 2 * undisturbed, f"took {took:.1f} s, undisturbed {undisturbed:.1f} s")
    return found


def until_over(load: Load) -> float:
    """Seconds from the launch to the last answer, by the database's own times."""
    [(seconds,)] = load.house.ask(
        "SELECT extract(epoch FROM max(m.finished_at) - min(m.created_at))"
        " FROM delivery_message m WHERE m.run_id = ANY(%s)",
        load.runs,
    )
    return float(seconds)


class Asker(Thread):
    """Asks a door that needs PostgreSQL, all the time, and remembers what it answered."""

    def __init__(self, house: Installation):
        super().__init__(daemon=True)
        self.shop = shop_of(house, server=True)
        self.enough = Event()
        self.answers: dict[object, int] = {}

    def run(self) -> None:
        while not self.enough.is_set():
            try:
                answer = self.shop.call("GET", f"/v1/profiles/{user_of(1)}")[0]
            except (OSError, HTTPException) as exc:
                answer = type(exc).__name__
            self.answers[answer] = self.answers.get(answer, 0) + 1
            self.enough.wait(0.05)

    def stop(self) -> None:
        self.enough.set()
        self.join(15)


@fault(
    "F-10",
    "kill -9 the postmaster mid fan-out; end sessions at random every second",
    passes="lost 0, dup 0, unknown ≤ marked; doors answer 503, never 500; serving 30 s later",
    rounds=5,
)
def kill_postgres(house: Installation, rng: Random) -> Found:
    asker = Asker(house)
    asker.start()
    with load(house, rng) as under_way:
        under_way.wait_for_calls(rng.uniform(0.0, 0.3))
        nemesis.outage(house, "postgres", seconds=rng.choice([0, 2]))
        under_way.inject(unknown=FAILED_WRITES)
        back = time.monotonic()
        wait_until(
            lambda: asker.shop.call("GET", f"/v1/profiles/{user_of(1)}")[0] == 200,
            seconds=30,
            what="a profile is served again",
        )
        served = time.monotonic() - back
        for _ in range(5):
            time.sleep(1)
            nemesis.end_sessions(house, share=0.5)
            under_way.inject(unknown=FAILED_WRITES)
    found = check(under_way)
    asker.stop()
    odd = set(asker.answers) - {200, 503} - CONNECTION_ERRORS
    found.expect(not odd, f"a door that reads PostgreSQL answered {asker.answers}")
    found.note("served_after_s", served)
    return found


@fault(
    "F-27",
    "COMMIT is carried out, and the connection cut before the client reads so",
    passes="lost 0, dup 0, unknown ≤ marked at a cut",
    rounds=4,
)
def cut_after_commit(house: Installation, rng: Random) -> Found:
    from tests.faults.proxy import CommitCutter

    sockets = socket_dir(house.data_dir)
    cutter = CommitCutter(
        house.folder / "cut", upstream=sockets / ".s.PGSQL.5432", seed=rng.getrandbits(32)
    )
    with cutter.running():
        house.start_programs(DATABASE_URL=house.database_url(cutter.folder))
        try:
            with load(house, rng) as under_way:
                cutter.share = 0.05
                wait_until(under_way.is_over, seconds=150, what="all runs are over")
                cutter.share = 0.0
                for _ in range(cutter.cuts):
                    under_way.inject(unknown=IN_FLIGHT)
            found = check(under_way)
        finally:
            house.stop_programs()
    found.expect(cutter.cuts, "nothing was cut: nothing was tried")
    return found


@fault(
    "F-26",
    "a backup, seconds old, is put back after more was sent, and everything is started",
    passes="0 calls until a human says that this copy counts",
    rounds=2,
)
def restore_a_backup(house: Installation, rng: Random) -> Found:
    import shutil

    from django.core.management import call_command
    from django.db import connection

    from campaigns import lifecycle

    with load(house, rng, events=0) as under_way:
        under_way.wait_for_calls(0.2)
        for campaign in under_way.campaigns:
            lifecycle.pause(campaign, now=now())
        wait_until(
            lambda: nothing_marked(house), seconds=15, what="what was marked has its answer"
        )
        house.stop_programs()
        connection.close()
        house.stop_store("postgres")
        copy = house.folder / "backup"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(house.data_dir / "postgres", copy)
        house.start_store("postgres")
        for campaign in under_way.campaigns:
            lifecycle.resume(campaign, now=now())
        house.start_programs()
    found = check(under_way)
    house.stop_programs()
    connection.close()
    house.stop_store("postgres")
    shutil.rmtree(house.data_dir / "postgres")
    copy.rename(house.data_dir / "postgres")
    house.start_store("postgres")
    for campaign in under_way.campaigns:
        lifecycle.resume(campaign, now=now())  # they lie there as planned, as if never sent
    calls = under_way.calls()
    house.start_programs()
    under_way.inject()
    wait_until(
        lambda: house.ask("SELECT count(*) FROM delivery_halt") == [(1,)],
        seconds=60,
        what="all sending stands still",
    )
    time.sleep(10)
    sent = under_way.calls() - calls
    found.injections += 1
    found.dup += sent
    found.expect(sent == 0, f"{sent} calls from a restored copy")
    for campaign in under_way.campaigns:
        lifecycle.cancel(campaign, now=now())
    call_command("resume_sending", "--yes", stdout=sys.stderr)
    return found


def nothing_marked(house: Installation) -> bool:
    return not house.ask("SELECT 1 FROM delivery_message WHERE state IN ('leased', 'attempting')")


def now():
    from engage.lib import clock

    return clock.now()
