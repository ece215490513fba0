"""Several consumers store overlapping batches at the same time."""

import random
import threading

import pytest
from django.db import connection

from engage.profiles import replay
from engage.profiles.models import Event, Identity, Profile
from engage.profiles.store import store_events
from tests.engage.profiles.events import alias, identify, make_event, view
from tests.engage.profiles.replica import people_of
from tests.engage.profiles.test_order import as_sorted, stored_people
from tests.factories import NOON

pytestmark = pytest.mark.django_db(transaction=True)


def in_threads(*works) -> list[object]:
    """Run all at once, each on its own connection; what each returned or raised."""
    results: list[object] = [None] * len(works)
    start = threading.Barrier(len(works))

    def run(number: int) -> None:
        start.wait()
        try:
            results[number] = works[number]()
        except BaseException as exc:
            results[number] = exc
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(number,)) for number in range(len(works))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    return results


def test_the_same_batch_twice_at_once_is_stored_once() -> None:
    batch = [view(f"p{n}", user_id=f"u{n % 40}", anonymous_id=f"a{n % 60}") for n in range(300)]

    reports = in_threads(
        lambda: store_events(batch, now=NOON), lambda: store_events(batch[::-1], now=NOON)
    )

    assert sorted((r.stored, r.duplicates) for r in reports) == [(0, 300), (300, 0)]
    assert Event.objects.count() == 300


def test_a_person_named_by_two_consumers_at_once_is_one_profile() -> None:
    works = [
        lambda n=n: store_events([view(f"p{n}", user_id="new", seconds=n)], now=NOON)
        for n in range(4)
    ]

    assert [report.stored for report in in_threads(*works)] == [1, 1, 1, 1]
    assert Profile.objects.count() == 1
    assert Identity.objects.count() == 1


@pytest.mark.parametrize("seed", range(3))
def test_merges_and_claims_at_once_give_what_the_definitions_give(seed: int) -> None:
    rng = random.Random(seed)
    events = [draw_event(rng, number) for number in range(400)]
    batches = [rng.sample(events, 120) for _ in range(6)] + [events[:200], events[200:]]

    def consume(mine) -> None:
        for batch in mine:
            store_events(batch, now=NOON)

    assert in_threads(*(lambda n=n: consume(batches[n::3]) for n in range(3))) == [None] * 3
    assert as_sorted(stored_people()) == as_sorted(people_of(events))
    with connection.cursor() as cursor:
        replay.replay(
            cursor, Profile.objects.filter(merged_into=None).values_list("pk", flat=True)
        )
    assert as_sorted(stored_people()) == as_sorted(people_of(events))


def draw_event(rng: random.Random, number: int):
    fields = {
        "user_id": rng.choice(["", *(f"u{n}" for n in range(25))]),
        "anonymous_id": f"a{rng.randrange(40)}",
        "seconds": rng.randrange(10_000),
        "message_id": f"m{number}",
    }
    roll = rng.random()
    if roll < 0.02 and fields["user_id"]:
        return alias(f"u{rng.randrange(25)}", **fields)
    if roll < 0.2:
        return identify({"colour": rng.choice(["red", "blue"]), "n": number}, **fields)
    if roll < 0.3:
        said = {"channel": "email", "status": rng.choice(["opted_in", "opted_out"])}
        return make_event("Consent Changed", properties=said, **fields)
    return view(f"p{rng.randrange(30)}", **fields)
