"""From files to lists: a generated shop is loaded, learned and served; writes FIRST_LISTS.md.

python -m benchmarks.first_lists [--products 20000] [--people 200000] [--events 1000000]

Only a run of the documented size writes the file. Loading is reported beside the build: it happens
once, the build every night.
"""

import argparse
import csv
import os
import platform
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.__main__ import stores
from benchmarks.measure import Step, measured
from benchmarks.rows import memory_gb, processor, revision

PAGE = Path(__file__).resolve().parent / "FIRST_LISTS.md"
GOAL_SECONDS = 60
SEED = 11
DAYS = 90
KINDS = 400  # of products, liked by the same people
LOYAL = 0.7  # share of events inside the kinds a person likes
ZIPF = 0.8
SPREAD = 0.9  # of the logarithm of a person's events
EVENTS = ("Product Viewed", "Product Added", "Order Completed")
EVENT_SHARES = (0.8, 0.12, 0.08)
COLOURS = ("red", "green", "blue", "black", "white", "natural")
ASKED = 1_000


@dataclass(frozen=True, slots=True)
class Size:
    products: int = 20_000
    people: int = 200_000
    events: int = 1_000_000


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.first_lists")
    for name, value in (("products", 20_000), ("people", 200_000), ("events", 1_000_000)):
        parser.add_argument(f"--{name}", type=int, default=value)
    size = Size(**vars(parser.parse_args()))
    with tempfile.TemporaryDirectory(prefix="engage-bench-") as place, stores(Path(place)):
        catalog, events = Path(place) / "products.csv", Path(place) / "events.csv"
        draw_shop(size, catalog=catalog, events=events)
        steps = [
            run(name, step)
            for name, step in (
                ("catalog", lambda: load_catalog(catalog)),
                ("events", lambda: load_events(events)),
                ("build", build),
                ("lists", lambda: serve(size)),
            )
        ]
    lines = table(size, steps)
    print("\n".join(lines))
    if size == Size():
        write(lines)


def run(name: str, step: Callable[[], dict[str, Any]]) -> Step:
    done = measured(name, step)
    print(
        f"{name}: {done.seconds:.1f} s, {done.cpu_seconds:.1f} of a core, {done.facts}", flush=True
    )
    return done


# --- the shop ----------------------------------------------------------------------------------


def draw_shop(size: Size, *, catalog: Path, events: Path) -> None:
    """Both files, the same for the same size."""
    rng = np.random.default_rng(SEED)
    kind_of = rng.integers(0, KINDS, size.products)
    with catalog.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["id", "name", "category", "price", "currency", "colour"])
        for item, kind in enumerate(kind_of.tolist()):
            colour = COLOURS[item % len(COLOURS)]
            name = f"{colour} thing {item} of kind {kind}"
            rows.writerow([f"p{item}", name, f"kind {kind}", f"{5 + item % 90}.90", "EUR", colour])
    write_events(size, kind_of, rng, events)


def write_events(size: Size, kind_of: np.ndarray, rng: np.random.Generator, path: Path) -> None:
    """People of log-normal activity meet popular products, most of them of the kinds they like."""
    weight = 1 / np.arange(1, size.products + 1) ** ZIPF
    order = rng.permutation(size.products)  # by popularity
    activity = rng.lognormal(sigma=SPREAD, size=size.people)
    person = np.sort(rng.choice(size.people, size.events, p=activity / activity.sum()))
    item = order[rng.choice(size.products, size.events, p=weight / weight.sum())]
    liked = rng.integers(0, KINDS, (size.people, 3))
    wanted = liked[person, rng.integers(0, 3, size.events)]
    loyal = np.flatnonzero(rng.random(size.events) < LOYAL)
    for kind in range(KINDS):
        mine = order[kind_of[order] == kind]
        here = loyal[wanted[loyal] == kind]
        if mine.size:
            chance = 1 / np.arange(1, mine.size + 1) ** ZIPF
            item[here] = rng.choice(mine, here.size, p=chance / chance.sum())
    event = rng.choice(len(EVENTS), size.events, p=EVENT_SHARES)
    second = rng.integers(0, DAYS * 86_400, size.events)
    start = datetime(2026, 8, 1, tzinfo=UTC)
    by_time = np.argsort(second, kind="stable")
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["user", "item", "event", "ts"])
        for row in by_time.tolist():
            moment = (start + timedelta(seconds=int(second[row]))).isoformat()
            rows.writerow([f"u{person[row]}", f"p{item[row]}", EVENTS[event[row]], moment])


# --- the steps ---------------------------------------------------------------------------------


def load_catalog(path: Path) -> dict[str, Any]:
    from catalog import uploads
    from engage.lib import clock

    with path.open("rb") as file:
        upload = uploads.stage(file, file_name=path.name, catalog="default", now=clock.now())
    return {"products": uploads.apply(upload, now=clock.now()).report["added"]}


def load_events(path: Path) -> dict[str, Any]:
    from engage.lib import clock
    from engage.profiles import load

    report = load.load_events(path, renamed={}, source="bench", now=clock.now())
    return {"stored": report.stored}


def build() -> dict[str, Any]:
    from engage.lib import clock
    from recommendations import build as builds

    made = builds.run("default", now=clock.now())
    return {
        "state": made.state,
        "ndcg@10": round(made.quality.get("ndcg@10", 0), 4),
        "seconds": made.timings,
        "weights": made.parameters.get("weights"),
    }


def serve(size: Size) -> dict[str, Any]:
    """Lists of ten for people spread over the shop, a hundred at a time."""
    from engage.lib import clock
    from engage.profiles import activity, identity
    from recommendations import serve as serving

    users = [f"u{number}" for number in range(0, size.people, max(size.people // ASKED, 1))]
    ids = [found for user in users if (found := identity.find_profile_id(user_id=user))]
    now = clock.now()
    serving.recommend([serving.Who(None, [])], now=now)  # maps the model, reads the catalog
    begin = time.perf_counter()
    full = 0
    for first in range(0, len(ids), 100):
        some = ids[first : first + 100]
        touched = activity.get_touches(some)
        asked = [serving.Who(one, touched.get(one, [])) for one in some]
        full += sum(not found.short for found in serving.recommend(asked, now=now))
    return {"asked": len(ids), "full": full, "ms": round((time.perf_counter() - begin) * 1000)}


# --- the page ----------------------------------------------------------------------------------


def table(size: Size, steps: list[Step]) -> list[str]:
    by_name = {step.name: step for step in steps}
    made, lists = by_name["build"].facts, by_name["lists"].facts
    per_step = ", ".join(
        f"{name} {seconds:.1f}"
        for name, seconds in made["seconds"].items()
        if name not in {"total", "peak_memory_mb"}
    )
    verdict = "met" if by_name["build"].seconds < GOAL_SECONDS else "**missed**"
    names = {
        "catalog": f"upload of {size.products:,} products, read and made live",
        "events": f"`load_events`, {size.events:,} rows of {size.people:,} people",
        "build": "`build_recommendations`, choosing and measuring included",
        "lists": f"lists of ten for {lists['asked']:,} people, {lists['full']:,} of them full",
    }
    return [
        "| step | seconds | seconds of a core | peak MB |",
        "| --- | ---: | ---: | ---: |",
        *(
            f"| {names[s.name]} | {s.seconds:.1f} | {s.cpu_seconds:.1f} | {s.peak_mb:,.0f} |"
            for s in steps
        ),
        "",
        f"Goal: the build below {GOAL_SECONDS} s: {verdict}. Its steps: {per_step}. It became "
        f"{made['state']} with NDCG@10 {made['ndcg@10']:.4f}; weights: {made['weights']}.",
    ]


def write(lines: list[str]) -> None:
    text = "\n".join(lines)
    PAGE.write_text(
        "# From files to lists\n\n"
        "Made by `python -m benchmarks.first_lists`: a generated shop on embedded servers, each\n"
        "step in a process of its own, its imports included; one thread. Seconds of a core are\n"
        "those that the step's own process took: what the database did is not in them, and what\n"
        "other work on the machine took away is not, either.\n\n"
        f"{text}\n\n"
        f"- date: {datetime.now(UTC):%Y-%m-%d %H:%M} UTC\n"
        f"- revision: {revision()}\n"
        f"- machine: {processor()}, {os.cpu_count()} cores, {memory_gb():.0f} GB, "
        f"load {os.getloadavg()[1]:.1f} over the last five minutes\n"
        f"- Python {platform.python_version()}, numpy {version('numpy')}, "
        f"scipy {version('scipy')}, numba {version('numba')}\n"
    )


if __name__ == "__main__":
    main()
