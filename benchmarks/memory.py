"""Does a worker stay as large as it is? One sends a million pushes and is watched.

python -m benchmarks.memory [--messages 1000000] [--people 4000]

The whole path, from the plan to the outcome, to a local provider over TLS. The same people get
run after run: what a worker keeps must not depend on how much went through it. Looked at are the
worker and its PostgreSQL backend. The buffers that all backends share count for who touched them,
even as a backend's own (USS) while nobody else did: its growth is seen in its anonymous memory.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, astuple, dataclass, fields
from pathlib import Path
from typing import Any

from benchmarks import fan_out
from benchmarks.__main__ import stores
from benchmarks.measure import measured

EVERY = 10_000  # messages between two looks
WARM_UP = 0.2  # of the looks: pools fill, plans and kernels are made, freed memory finds its level
MOST_MB_PER_100_000 = 1.0  # of growth after that, in what is a process's own


@dataclass(frozen=True, slots=True)
class Look:
    """MB: all, its part of what is shared, its own, what neither file nor buffer is behind."""

    messages: int
    worker_rss: float
    worker_pss: float
    worker_uss: float
    worker_anonymous: float
    backend_rss: float
    backend_pss: float
    backend_uss: float
    backend_anonymous: float


SIZES = [field.name for field in fields(Look)][1:]
OWN = ("worker_uss", "worker_anonymous", "backend_anonymous")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.memory")
    parser.add_argument("--messages", type=int, default=1_000_000)
    parser.add_argument("--people", type=int, default=fan_out.PEOPLE)
    asked = parser.parse_args()
    fan_out.PEOPLE = asked.people
    with tempfile.TemporaryDirectory(prefix="engage-bench-") as place, stores(Path(place)):
        from engage.lib import clock

        fan_out.set_up(now=clock.now())
        with fan_out.provider("fcm") as facts:
            fan_out.use("push", facts)
            step = measured("memory", lambda: send(asked.messages))
    looks = [Look(*look) for look in step.facts["looks"]]
    print("\n".join(table(looks, seconds=step.facts["seconds"])))
    grown = {name: slope(looks, name) for name in OWN}
    if too_much := {n: round(mb, 2) for n, mb in grown.items() if mb > MOST_MB_PER_100_000}:
        raise SystemExit(f"grows by more than {MOST_MB_PER_100_000} MB per 100,000: {too_much}")


def send(messages: int) -> dict[str, Any]:
    """In a process of its own, as a worker does it: run after run until so many are accepted."""
    fan_out.warm_up("push")
    looks, sent, started = [look(0)], 0, time.monotonic()
    for claimed in send_runs(fan_out.make_campaign("push", "memory")):
        sent += claimed
        if sent >= looks[-1].messages + EVERY:
            looks.append(look(sent))
            print(f"  {asdict(looks[-1])}", file=sys.stderr, flush=True)
        if sent >= messages:
            break
    return {"looks": [astuple(one) for one in looks], "seconds": time.monotonic() - started}


def send_runs(campaign: Any) -> Iterator[int]:
    """How many messages each chunk took. What is not accepted ends the benchmark."""
    from django.conf import settings

    from campaigns import fanout, sending
    from campaigns.models import Run
    from engage.lib import clock

    while True:
        run = Run.objects.create(campaign=campaign, scheduled_for=clock.now())
        while fanout.plan_chunk(run.pk, now=clock.now(), limit=settings.SEND_BATCH):
            pass
        while (report := sending.send_chunk("push", now=clock.now())).claimed:
            if report.states != {"accepted": report.claimed}:
                raise SystemExit(f"not all were accepted: {dict(report.states)} {report.problem}")
            yield report.claimed


def look(messages: int) -> Look:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        [backend] = cursor.fetchone()
    return Look(messages, *sizes("self"), *sizes(backend))


def sizes(pid: int | str) -> tuple[float, float, float, float]:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    kb = {name: int(number) for name, number, *_ in map(str.split, lines)}
    own = kb["Private_Clean:"] + kb["Private_Dirty:"]
    return kb["Rss:"] / 1024, kb["Pss:"] / 1024, own / 1024, kb["Anonymous:"] / 1024


def slope(looks: list[Look], name: str) -> float:
    """MB per 100,000 messages by least squares, after the warm-up."""
    import numpy as np

    steady = looks[int(len(looks) * WARM_UP) :]
    if len(steady) < 3:
        raise SystemExit(f"too few messages: at least {4 * EVERY:,}")
    sent, size = [one.messages for one in steady], [getattr(one, name) for one in steady]
    return float(np.polyfit(sent, size, 1)[0]) * 100_000


def table(looks: list[Look], *, seconds: float) -> list[str]:
    sent = looks[-1].messages
    return [
        f"{sent:,} pushes in {seconds:.0f} s, a look every {EVERY:,}; MB",
        "",
        "| | start | after warm-up | highest | end | per 100,000 after warm-up |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
        *(row(looks, name) for name in SIZES),
    ]


def row(looks: list[Look], name: str) -> str:
    found = [getattr(one, name) for one in looks]
    words = name.replace("_", ", ").replace("rss", "RSS").replace("pss", "PSS")
    warm = found[int(len(found) * WARM_UP)]
    figures = f"{found[0]:.1f} | {warm:.1f} | {max(found):.1f} | {found[-1]:.1f}"
    return f"| {words.replace('uss', 'USS')} | {figures} | {slope(looks, name):+.2f} |"


if __name__ == "__main__":
    main()
