"""Events accepted durably, one and a hundred in a request, against an empty view."""

import json
import random
import statistics
from dataclasses import dataclass

from benchmarks.http_load import Load, measure, request
from benchmarks.rows import Row
from benchmarks.served import EMPTY, served

BODIES = 400  # each of another phone
ROUNDS = 5
SECONDS = 2.0
CONNECTIONS = 16
THREADS = 4  # as shipped; they wait for the disk together, one fsync serves all who wait
YARDSTICK = "empty Django view, same server"
GOALS = (0.5, 0.3, None)
NAMES = ("Product Viewed", "Product Viewed", "Product Added", "Products Searched", "Cart Viewed")


@dataclass(frozen=True, slots=True)
class Round:
    empty: Load
    events: dict[str, Load]


def run() -> list[Row]:
    from engage.collector import access, stream

    key = access.create_key("bench", kind="write")
    rng = random.Random(11)
    doors = {
        "event endpoint, 1 event a request": many_of(key, rng, 1),
        "event endpoint, 100 events a request": many_of(key, rng, 100),
        "event endpoint, 100 events of 100 people": many_of(key, rng, 100, people=100),
    }
    with served(threads=THREADS) as port:
        for requests in ([request(EMPTY)], *doors.values()):  # everything is warm from here on
            measure(port, requests, connections=1, seconds=0.5)
        rounds = [one_round(port, doors) for _ in range(ROUNDS)]
    if not stream.is_durable():
        print("this Redis may lose acknowledged events: the event endpoint is not durable here")
    return [row(name, goal, rounds) for name, goal in zip(doors, GOALS, strict=True)]


def many_of(key: str, rng: random.Random, count: int, *, people: int = 1) -> list[bytes]:
    bodies = (body(key, rng, count, people=people) for _ in range(BODIES))
    return [request("/v1/batch", each) for each in bodies]


def one_round(port: int, doors: dict[str, list[bytes]]) -> Round:
    """All in turn, so that what slows the machine for a while slows them all."""
    from engage.collector import stream
    from engage.lib import redis

    empty = measure(port, [request(EMPTY)], connections=CONNECTIONS, seconds=SECONDS)
    events = {}
    for name, requests in doors.items():
        events[name] = measure(port, requests, connections=CONNECTIONS, seconds=SECONDS)
        redis.client().unlink(stream.name())  # nobody ingests here
        if events[name].failures:
            raise SystemExit(f"{name} was refused: {events[name].first_failure}")
    return Round(empty, events)


def row(name: str, goal: float | None, rounds: list[Round]) -> Row:
    ratio = statistics.median(one.events[name].per_second / one.empty.per_second for one in rounds)
    return Row(
        name=name,
        value=statistics.median(one.events[name].per_second for one in rounds),
        unit="requests/s",
        yardstick_name=YARDSTICK,
        yardstick_value=statistics.median(one.empty.per_second for one in rounds),
        ratio=ratio,
        goal=goal,
    )


def body(key: str, rng: random.Random, count: int, *, people: int = 1) -> bytes:
    """What a phone sends, or a server for many people: about 250 bytes an event."""
    who = [f"user-{rng.randrange(10**6)}" for _ in range(people)]
    events = [
        {
            "type": "track",
            "event": NAMES[number % len(NAMES)],
            "userId": who[number % people],
            "anonymousId": f"{rng.getrandbits(64):016x}",
            "messageId": f"{rng.getrandbits(128):032x}",
            "timestamp": f"2026-11-02T12:00:{number % 60:02}.123Z",
            "properties": properties(rng, NAMES[number % len(NAMES)]),
        }
        for number in range(count)
    ]
    context = {"app": {"version": "3.1.0"}, "locale": "de-DE", "device": {"type": "ios"}}
    return json.dumps(
        {
            "writeKey": key,
            "batch": events,
            "context": context,
            "sentAt": "2026-11-02T12:01:00.456Z",
        }
    ).encode()


def properties(rng: random.Random, name: str) -> dict[str, object]:
    if not name.startswith("Product "):
        return {"query": "winter shoes", "results": rng.randrange(100)}
    item = rng.randrange(10_000)
    return {"product_id": f"sku-{item}", "price": 12.5, "category": "shoes", "position": item % 9}
