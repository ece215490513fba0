"""The answer at app launch, with a filled slot, against an empty view on the same server."""

import csv
import http.client
import json
import os
import random
import statistics
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from benchmarks.http_load import Load, measure, request
from benchmarks.rows import Row
from benchmarks.served import EMPTY, served

PRODUCTS, CATEGORIES = 2_000, 40
PEOPLE = 2_000
TOUCHES = 20  # per person, most of them in two categories
ROUNDS = 5
SECONDS = 2.0
CONNECTIONS = 16
THREADS = 4  # as shipped; while one waits for a store another works
ITEMS = 4
YARDSTICK = "empty Django view, same server"


@dataclass(frozen=True, slots=True)
class Round:
    empty: Load
    launch: Load


def run() -> list[Row]:
    key = set_up(now=_now())
    everybody = [_launch(key, person) for person in range(PEOPLE)]
    with served(threads=THREADS) as port:
        empty = [request(EMPTY)]
        _check(port, everybody[0])
        for requests in (empty, everybody):  # pages, caches and kernels are warm from here on
            measure(port, requests, connections=1, seconds=SECONDS)
        busy = [_round(port, empty, everybody, CONNECTIONS) for _ in range(ROUNDS)]
        alone = [_round(port, empty, everybody, 1) for _ in range(ROUNDS)]
        strangers = [_launch(key, f"new-{number}") for number in range(200_000)]
        new = measure(port, strangers, connections=CONNECTIONS, seconds=SECONDS)
    loads = [*(one.launch for one in busy + alone), new]
    if failures := sum(load.failures for load in loads):
        first = next(load.first_failure for load in loads if load.failures)
        raise SystemExit(f"{failures} launches were not answered with 200, such as: {first}")
    per_second = _middle(busy, lambda one: one.launch.per_second / one.empty.per_second)
    p50 = _middle(alone, lambda one: one.launch.p50_us / one.empty.p50_us)
    empty_per_second = statistics.median(one.empty.per_second for one in busy)
    return [
        Row(
            name=f"app launch, {ITEMS} products filled, known people",
            value=per_second.launch.per_second, unit="/s",
            yardstick_name=YARDSTICK, yardstick_value=per_second.empty.per_second,
            ratio=per_second.launch.per_second / per_second.empty.per_second, goal=0.33,
        ),
        Row(
            name="app launch, p50 of one connection",
            value=p50.launch.p50_us, unit="µs",
            yardstick_name=YARDSTICK, yardstick_value=p50.empty.p50_us,
            ratio=p50.launch.p50_us / p50.empty.p50_us, goal=2.6, at_most=True,
        ),
        Row(
            name="app launch, people never seen before",
            value=new.per_second, unit="/s",
            yardstick_name=YARDSTICK, yardstick_value=empty_per_second,
            ratio=new.per_second / empty_per_second,
        ),
    ]  # fmt: skip


def set_up(*, now: datetime) -> str:
    """A shop with a model and one live in-app campaign; the write key of its app."""
    from campaigns.models import Campaign, Segment, Slot, Template, Variant
    from engage.collector import access

    open_shop(people=PEOPLE, now=now)
    segment = Segment.objects.create(
        name="bench", rule={"not": {"attribute": "blocked", "op": "=", "value": True}}
    )
    template = Template.objects.create(
        name="bench", channel="in_app", title="Hello {{ profile.first_name | default: 'you' }}",
        body="{{ slots.picks.size }} things for you", button="Look", link="https://shop.example/",
    )  # fmt: skip
    Slot.objects.create(template=template, name="picks", maximum=ITEMS)
    campaign = Campaign.objects.create(
        name="bench", channel="in_app", schedule="launch", state="active", segment=segment,
        control_percent=0, per_day=30_000, lifetime=30_000,
    )  # fmt: skip
    Variant.objects.create(campaign=campaign, template=template)
    return access.create_key("bench", kind="write")


def open_shop(*, people: int, now: datetime) -> None:
    """Products, people with a past, and a model of both."""
    from django.core.management import call_command

    folder = Path(os.environ["ENGAGE_DATA_DIR"])
    _write(folder / "products.csv", _products())
    _write(folder / "events.csv", _events(random.Random(7), people=people, now=now))
    with open(os.devnull, "w") as silence:
        call_command("load_catalog", str(folder / "products.csv"), stdout=silence)
        call_command("load_events", str(folder / "events.csv"), stdout=silence)
        call_command("build_recommendations", stdout=silence)


def _round(port: int, empty: list[bytes], launches: list[bytes], connections: int) -> Round:
    """Both in turn, so that what slows the machine for a while slows both."""
    return Round(
        measure(port, empty, connections=connections, seconds=SECONDS),
        measure(port, launches, connections=connections, seconds=SECONDS),
    )


def _middle(rounds: list[Round], ratio) -> Round:  # type: ignore[no-untyped-def]
    return sorted(rounds, key=ratio)[len(rounds) // 2]


def _launch(key: str, person: int | str) -> bytes:
    body = {
        "writeKey": key,
        "userId": f"u{person}",
        "device": {"id": f"phone-{person}", "type": "ios", "model": "iPhone15,3"},
        "context": {"app": {"version": "3.1.0"}, "locale": "de-DE", "timezone": "Europe/Berlin"},
    }
    return request("/v1/app-launch", json.dumps(body).encode())


def _check(port: int, one: bytes) -> None:
    """One answer is looked at: it must hold a message with all its products."""
    link = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    link.request("POST", "/v1/app-launch", body=one.partition(b"\r\n\r\n")[2])
    answer = json.loads(link.getresponse().read())
    link.close()
    messages = answer.get("messages") or [{"content": {"items": []}}]
    if len(messages[0]["content"]["items"]) != ITEMS:
        raise SystemExit(f"expected a message with {ITEMS} products, got {answer}")


def _products() -> list[dict[str, object]]:
    return [
        {
            "id": f"p{number}",
            "name": f"Product {number}",
            "category": f"category {number % CATEGORIES}",
            "price": f"{5 + number % 90}.90",
            "currency": "EUR",
            "url": f"https://shop.example/p{number}",
            "image_url": f"https://shop.example/p{number}.jpg",
        }
        for number in range(PRODUCTS)
    ]


def _events(rng: random.Random, *, people: int, now: datetime) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    for person in range(people):
        favourites = rng.sample(range(CATEGORIES), 2)
        for number in range(TOUCHES):
            item = rng.choice(favourites) + CATEGORIES * rng.randrange(PRODUCTS // CATEGORIES)
            at = now - timedelta(days=rng.uniform(0, 30))
            event = "purchase" if number % 10 == 9 else "view"
            rows.append({"user": f"u{person}", "item": f"p{item}", "event": event,
                         "ts": at.isoformat()})  # fmt: skip
    return rows


def _write(path: Path, rows: list[dict[str, object]]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def _now() -> datetime:
    from engage.lib import clock

    return clock.now()
