"""Faults of the processes that plan and send."""

import sys
import time
from contextlib import ExitStack
from random import Random
from statistics import median

from engage.lib.processes import is_alive
from engage.runner import programs
from tests.faults import nemesis
from tests.faults.checker import Found, check
from tests.faults.faults import fault
from tests.faults.harness import (
    ALL_IN_FLIGHT,
    LEASE_SECONDS,
    PEOPLE,
    PROCESSES,
    SENDING_BATCHES,
    TIMEOUT_SECONDS,
    Installation,
    wait_until,
)
from tests.faults.load import load, slow_providers, user_of
from tests.faults.stores import until_over

IN_FLIGHT = max(SENDING_BATCHES.values())  # messages that one process can have marked
SHORT_VISIBILITY = "--app=tests.faults.impatient"
PAIRS = 5  # of an undisturbed and a disturbed run, in turn: a busy machine disturbs both


def a_worker(name: str, *, app: str = "--app=engage") -> list[str]:
    """One that does the work of two programs, those that plan and those that send."""
    queues = ["default", "plan", *programs.send_queues()]
    line = programs.celery_worker(name, queues=queues, processes=PROCESSES)
    return [app if part == "engage" else part for part in line if part != "--app"]


@fault(
    "F-01",
    "kill -9 a worker, or one of its processes, at random while it plans and sends",
    passes="lost 0, dup 0, unknown ≤ marked at the kill, over in 90 s",
    rounds=10,
)
def kill_workers(house: Installation, rng: Random) -> Found:
    with load(house, rng) as under_way:
        for moment in sorted(rng.uniform(0.0, 0.8) for _ in range(3)):
            under_way.wait_for_calls(moment)
            worker = house.program(rng.choice(["worker", "sender", "sender"]))
            forked = nemesis.children_of(worker)
            if rng.random() < 0.5 and forked:
                nemesis.kill(rng.choice(forked))
                under_way.inject(unknown=IN_FLIGHT)
            else:
                nemesis.kill(worker)
                under_way.inject(unknown=ALL_IN_FLIGHT)
    return check(under_way)


@fault(
    "F-04",
    "SIGSTOP a worker in the middle of its calls for lease + 30 s, then SIGCONT",
    passes="dup 0, lost 0; the late answer turns all that went out from unknown into accepted",
    rounds=3,
)
def freeze_a_worker(house: Installation, rng: Random) -> Found:
    with ExitStack() as more, load(house, rng) as under_way:
        under_way.wait_for_calls(rng.uniform(0.1, 0.5))
        with nemesis.stopped(house.program("sender")):
            under_way.inject(unknown=ALL_IN_FLIGHT)
            more.enter_context(house.another("second-worker", a_worker("second")))
            time.sleep(LEASE_SECONDS + 30)
            frozen = keys_of_unknown(under_way)
        time.sleep(TIMEOUT_SECONDS + 2)
        found = check(under_way)
    after = keys_of_unknown(under_way)
    out = {line["key"] for one in house.providers.values() for line in one.accepted()}
    found.note("unknown_while_frozen", len(frozen))
    found.note("unknown_after_waking", len(after))
    found.note("late_answers", len((frozen & out) - after))
    found.expect(frozen & out, "nothing was frozen that had gone out: nothing was tried")
    found.expect(not after & out, f"{len(after & out)} that went out are unknown still")
    return found


def keys_of_unknown(under_way) -> set[str]:
    rows = under_way.house.ask(
        "SELECT key::text FROM delivery_message WHERE run_id = ANY(%s) AND state = 'unknown'",
        under_way.runs,
    )
    return {key for (key,) in rows}


@fault(
    "F-08",
    "a broker that gives every task again after 5 s, while tasks last up to 20 s",
    passes="lost 0, dup 0",
    rounds=2,
)
def impatient_broker(house: Installation, rng: Random) -> Found:
    """Workers of our own stand in for those of `up`, which are frozen meanwhile."""
    with ExitStack() as stack:
        freeze_workers(house, stack)
        for name in ("impatient-1", "impatient-2"):
            stack.enter_context(house.another(name, a_worker(name, app=SHORT_VISIBILITY)))
        under_way = stack.enter_context(load(house, rng))
        slow_providers(house, mail=0.08, push=4.0)  # × 200 mails, × 4 groups of pushes
        under_way.inject()
        time.sleep(25)
        slow_providers(house)
        found = check(under_way, recover_seconds=150)
    twice = tasks_given_twice(house)
    found.note("tasks_given_again", twice)
    found.expect(twice, "no task came again: nothing was tried")
    return found


def freeze_workers(house: Installation, stack: ExitStack) -> None:
    for name in ("worker", "sender"):
        stack.enter_context(nemesis.stopped(house.program(name)))


def tasks_given_twice(house: Installation) -> int:
    """How often a task was taken that had been taken before."""
    seen = (house.folder / "tasks").read_text().split()
    return len(seen) - len(set(seen))


@fault(
    "F-23",
    "tasks that raise, exit, segfault or hang beyond their time limit, again and again",
    passes="lost 0, dup 0; who hangs is ended; the others go at ≥ 90 % of the undisturbed speed",
    rounds=1,
)
def poison_tasks(house: Installation, rng: Random) -> Found:
    from tests.faults.impatient import app as impatient

    found, speeds = Found(), []
    with ExitStack() as stack:
        freeze_workers(house, stack)
        stack.enter_context(house.another("poisoned", a_worker("poisoned", app=SHORT_VISIBILITY)))
        for _ in range(PAIRS):
            with load(house, rng, events=1_000) as calm:
                pass
            found.add(check(calm))
            ways = 2 * ["raise", "exit", "segfault", "hang"]
            rng.shuffle(ways)
            with load(house, rng, events=1_000) as under_way:
                for way in ways:  # one that exits comes again after 5 s, and kills again
                    impatient.send_task("tests.faults.poison", [way], queue="send.push")
                    time.sleep(0.5)
                    under_way.inject()
            found.add(check(under_way))
            speeds.append(until_over(calm) / until_over(under_way))
            print(f"  {until_over(calm):.2f} s, {until_over(under_way):.2f} s", file=sys.stderr)
        hung = {int(number) for number in (house.folder / "hung").read_text().split()}
        wait_until(
            lambda: not any(map(is_alive, hung)), seconds=10, what="those that hang are ended"
        )
    found.note("of_the_undisturbed_speed", median(speeds))
    found.expect(median(speeds) >= 0.9, f"{median(speeds):.2f} × as fast, median of {speeds}")
    return found


@fault(
    "F-23-message",
    "one message of 2,000 whose composing ends the process, again and again",
    passes="quarantined after 5; lost 0, dup 0; ≥ 90 % of the others wait for no lease",
    rounds=1,
)
def poison_message(house: Installation, rng: Random) -> Found:
    file = house.folder / "poison"
    others = 2 * PEOPLE - 1
    ask = "SELECT profile_id FROM profiles_identity WHERE value = %s"
    [(victim,)] = house.ask(ask, user_of(rng.randrange(PEOPLE)))
    with ExitStack() as stack:
        stack.callback(file.unlink, missing_ok=True)
        freeze_workers(house, stack)
        stack.enter_context(house.another("poisoned", a_worker("poisoned", app=SHORT_VISIBILITY)))
        file.write_text(str(victim))
        under_way = stack.enter_context(load(house, rng))
        wait_until(lambda: returned(under_way), seconds=90, what="its first holder died")
        [(early,)] = house.ask(ACCEPTED, under_way.runs)
        wait_until(
            lambda: house.ask(ACCEPTED, under_way.runs) == [(others,)],
            seconds=4 * (LEASE_SECONDS + 15),
            what="all but one are accepted",
        )
        all_but_one = time.time() - under_way.started_at
        wait_until(
            under_way.is_over,
            seconds=5 * (LEASE_SECONDS + 15),
            what="the fifth holder died",
        )
        under_way.inject()
        found = check(under_way)
    found.note("others_before_the_first_lease_ended", early / others)
    found.note("others_all_accepted_s", all_but_one)
    found.expect(early >= 0.9 * others, f"only {early} had not to wait for a lease")
    ends = house.ask(
        "SELECT profile_id, state, reason, returned FROM delivery_message"
        " WHERE run_id = ANY(%s) AND state <> 'accepted'",
        under_way.runs,
    )
    found.expect(ends == [(victim, "failed", "quarantined", 5)], f"not accepted: {ends}")
    return found


ACCEPTED = "SELECT count(*) FROM delivery_message WHERE run_id = ANY(%s) AND state = 'accepted'"


def returned(under_way) -> bool:
    return under_way.house.ask(
        "SELECT 1 FROM delivery_message WHERE run_id = ANY(%s) AND returned > 0 LIMIT 1",
        under_way.runs,
    )
