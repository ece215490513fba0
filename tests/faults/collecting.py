"""Faults of the doors for events."""

import time
from random import Random

from tests.faults import nemesis
from tests.faults.checker import Found, check
from tests.faults.faults import fault
from tests.faults.harness import Installation, wait_until
from tests.faults.load import Load, load


@fault(
    "F-02",
    "kill -9 the web server, one of its workers, or ingest under load",
    passes="acknowledged but missing 0, stored twice 0",
    rounds=10,
)
def kill_web(house: Installation, rng: Random) -> Found:
    with load(house, rng, channels=(), events=7_500, pause=0.15) as under_way:
        for _ in range(3):
            time.sleep(rng.uniform(0.3, 1.5))
            name = rng.choice(["web", "web", "worker of web", "ingest"])
            number = house.program(name.split()[-1])
            forked = nemesis.children_of(number)
            nemesis.kill(rng.choice(forked) if name == "worker of web" and forked else number)
            under_way.inject()
            so_far = taken(under_way)
            # One that ends again and again is started with growing pauses, of up to 30 s.
            wait_until(lambda n=so_far: taken(under_way) > n, seconds=60, what="events are taken")
    return check(under_way)


def taken(under_way: Load) -> int:
    return sum(len(sender.acked) for sender in under_way.senders)
