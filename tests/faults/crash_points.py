"""F-11: the process dies at a named place, once; every place that the code has.

C14 is no crash: everybody withdraws while groups are under way.
"""

import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from random import Random

from engage.runner.running import MANAGE_PY
from tests.faults.checker import Found, check
from tests.faults.faults import fault
from tests.faults.harness import SENDING_BATCHES, Installation, wait_until
from tests.faults.load import load, user_of
from tests.faults.migrating import migration_dies
from tests.faults.receipts import receipts_die
from tests.faults.scheduling import everybody_leaves

EVENTS_ONLY = ("C1", "C2", "C4", "C5")
CALLED = {"C9", "C10", "C11"}  # between the mark and the record: nobody knows, and it is counted
FIRST = {"C3", "C6", "C7"}  # reached while a run begins: armed before
WHERE = {
    "C1": "after a body is read, before it is kept",
    "C2": "after it is kept, before the answer",
    "C3": "after a run began, before anybody is told",
    "C4": "while events are stored, before the commit",
    "C5": "after the commit, before they leave the queue",
    "C6": "between two chunks of planning",
    "C7": "inside a chunk of planning",
    "C8": "after a claim, before the mark",
    "C9": "after the mark, before the call",
    "C10": "with a mail handed over and no answer read",
    "C11": "with the answers in hand, before they are recorded",
    "C12": "after they are recorded, before the task is acknowledged",
    "C13": "with receipts stored, before they are answered",
    "C14": "",
    "C15": "with an artifact written, before it is published",
    "C16": "after it is published",
    "C17": "while a catalog is written",
    "C18": "after a scheduler made a run, before it moved the campaign on",
    "C19": "in the middle of an erasure",
    "C20": "in the middle of a migration",
}


def die_there(point: str, house: Installation, rng: Random) -> Found:
    if point in OWN_WAY:
        return OWN_WAY[point](house, rng)
    channels = () if point in EVENTS_ONLY else ("email", "push")
    with load(house, rng, channels=channels, events=1_000, before=begin_with(house, point)) as one:
        if point not in FIRST:
            time.sleep(rng.uniform(0.5, 2.0))
            house.arm(point)
        wait_until(lambda: not house.is_armed(point), seconds=60, what=f"{point} is reached")
        one.inject(unknown=max(SENDING_BATCHES.values()) if point in CALLED else 0)
    return check(one)


def begin_with(house: Installation, point: str) -> Callable[[], None]:
    return lambda: house.arm(point) if point in FIRST else None


def command(house: Installation, *words: object, dies_at: str = "", ends_with: int = 0) -> str:
    """A command of `manage.py`, which must end as told; what it says of errors."""
    from engage.lib.failpoints import DIED

    if dies_at:
        house.arm(dies_at)
    said = subprocess.run(
        [sys.executable, MANAGE_PY, *map(str, words)], capture_output=True, text=True
    )
    wanted = DIED if dies_at else ends_with
    assert said.returncode == wanted, (words, said.returncode, said.stderr[-500:])
    return said.stderr


def prepare_builds(house: Installation, rng: Random) -> None:
    """Something to learn from, whichever fault is the first."""
    load_catalog(house, products=50)
    if not house.ask("SELECT 1 FROM profiles_event WHERE name = 'Product Viewed' LIMIT 1"):
        with load(house, rng, channels=(), events=1_000, pause=0.0) as views:
            pass
        check(views)
    command(house, "rebuild_history")


def build_dies(point: str) -> Callable[[Installation, Random], Found]:
    def play(house: Installation, rng: Random) -> Found:
        """What was live before stays, or the new one is; the next build is whole."""
        prepare_builds(house, rng)
        command(house, "build_recommendations", "default")
        before = live_build(house)
        command(house, "build_recommendations", "default", dies_at=point)
        after = live_build(house)
        found = Found(injections=1)
        if point == "C15":
            found.expect(after == before, f"build {after} is live, {before} was")
        else:
            found.expect(after > before, "the published build is not live")
        command(house, "recommend", user_of(1))
        command(house, "build_recommendations", "default")
        found.expect(live_build(house) > after, "the next build did not go live")
        return found

    return play


def live_build(house: Installation) -> int:
    [(number,)] = house.ask("SELECT max(id) FROM recommendations_build WHERE state = 'live'")
    return number or 0


def load_catalog(house: Installation, *, products: int, price: int = 5, dies_at: str = "") -> None:
    file = house.folder / "catalog.csv"
    rows = "".join(
        f"p{n},Product {n},{price}.00,https://shop.example/p{n}\n" for n in range(products)
    )
    file.write_text(f"id,name,price,url\n{rows}")
    command(house, "load_catalog", file, "--catalog", "default", dies_at=dies_at)


def import_dies(house: Installation, rng: Random) -> Found:
    load_catalog(house, products=50, price=5)
    load_catalog(house, products=50, price=7, dies_at="C17")
    ask = "SELECT DISTINCT price::int FROM catalog_product"
    found = Found(injections=1)
    found.expect(house.ask(ask) == [(5,)], f"prices are {house.ask(ask)} after a half import")
    load_catalog(house, products=50, price=7)
    found.expect(house.ask(ask) == [(7,)], f"prices are {house.ask(ask)} after the next import")
    load_catalog(house, products=50, price=5)
    return found


def scheduler_dies(house: Installation, rng: Random) -> Found:
    from datetime import timedelta

    from campaigns import lifecycle
    from campaigns.models import Run
    from tests.faults.scheduling import now, scheduled

    campaign = scheduled(now() + timedelta(seconds=2))
    house.arm("C18")
    lifecycle.launch(campaign, now=now())
    wait_until(lambda: not house.is_armed("C18"), seconds=60, what="C18 is reached")
    wait_until(
        lambda: Run.objects.filter(campaign=campaign).exists(), seconds=60, what="the run is there"
    )
    time.sleep(3)
    count = Run.objects.filter(campaign=campaign).count()
    found = Found(injections=1, planned=1, accepted=count)
    found.expect(count == 1, f"{count} runs")
    return found


def erasure_dies(house: Installation, rng: Random) -> Found:
    """A person of its own, because everybody else is needed for the next round."""
    from engage.lib.failpoints import DIED
    from tests.faults.load import shop_of

    person = f"leaver-{rng.getrandbits(32)}"
    shop_of(house).post("/v1/track", {"userId": person, "event": "Product Viewed"})
    ask = "SELECT profile_id FROM profiles_identity WHERE value = %s"
    [(number,)] = wait_until(lambda: house.ask(ask, person), seconds=30, what="they are stored")
    house.arm("C19")
    said = subprocess.run(
        [sys.executable, "-c", ERASE, str(number)], cwd=MANAGE_PY.parent, capture_output=True
    )
    found = Found(injections=1)
    found.expect(said.returncode == DIED, f"the erasure ended with {said.returncode}")
    found.expect(
        house.ask("SELECT 1 FROM profiles_erasure WHERE finished_at IS NULL"),
        "the journal has no open entry",
    )
    from engage.profiles import erasure
    from tests.faults.scheduling import now

    erasure.finish_open(now=now())
    found.expect(not house.ask(ask, person), "the person is still there")
    found.expect(
        not house.ask("SELECT 1 FROM profiles_event WHERE profile_id = %s", number),
        "their events are still there",
    )
    return found


ERASE = """
import sys
import django
django.setup()
from engage.lib import clock
from engage.profiles import erasure
erasure.erase(int(sys.argv[1]), now=clock.now())
"""
OWN_WAY: dict[str, Callable[[Installation, Random], Found]] = {
    "C13": receipts_die,
    "C14": everybody_leaves,
    "C15": build_dies("C15"),
    "C16": build_dies("C16"),
    "C17": import_dies,
    "C18": scheduler_dies,
    "C19": erasure_dies,
    "C20": migration_dies,
}


def title_of(point: str) -> str:
    if point == "C14":
        return "everybody withdraws while groups are in flight"
    return f"the process dies {WHERE[point]}"


def passes_of(point: str) -> str:
    own = {"C14": "calls after it ≤ the groups in flight, all others suppressed",
           "C20": "run again, the schema is whole"}  # fmt: skip
    unknown = "≤ one group" if point in CALLED else "0"
    return own.get(point, f"lost 0, dup 0, unknown {unknown}")


for point in WHERE:
    fault(
        f"F-11-{point}",
        title_of(point),
        passes=passes_of(point),
        rounds=2,
    )(partial(die_there, point))
