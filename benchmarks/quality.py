"""Quality on public data sets, by cuts of their training files: see docs/quality.md.

    python -m benchmarks.quality FOLDER [SET …]

FOLDER has one folder for each set. Every row is what `manage.py evaluate_recommendations` prints
for two files that are cut here; everything is chosen from the first of them.
"""

import argparse
import csv
import gzip
import json
import os
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
SEED = 7
DAYS = 28
CORES = 2  # for linear algebra
SECONDS = 900  # for one evaluation, the largest included

Row = dict[str, str]
Cut = Callable[[Path, Path], None]  # from a folder of data to a folder with train.csv, test.csv


@dataclass(frozen=True, slots=True)
class Case:
    """One row of the table."""

    folder: str
    cut: Cut
    metrics: tuple[str, ...]
    more: tuple[str, ...] = ()  # arguments of the command


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.quality", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("sets", nargs="*", metavar="SET", help=f"any of {', '.join(CASES)}")
    options = parser.parse_args()
    if unknown := [name for name in options.sets if name not in CASES]:
        parser.error(f"there is no set {unknown[0]}; the sets are {', '.join(CASES)}")
    print(
        "| set | figures | asked | seconds | MB | weights |\n| --- | --- | --- | --- | --- | --- |"
    )
    for name in options.sets or CASES:
        case = CASES[name]
        if (options.folder / case.folder).is_dir():
            print(line(name, case, measured(case, options.folder)), flush=True)


def measured(case: Case, data: Path) -> dict[str, Any]:
    """What the command says, in a process of its own."""
    source = data / case.folder
    with tempfile.TemporaryDirectory(prefix="engage-quality-") as place:
        cut = Path(place)
        case.cut(source, cut)
        items = source / "items.csv.gz"
        command = [
            *(sys.executable, "manage.py", "evaluate_recommendations"),
            *("--train", str(cut / "train.csv"), "--test", str(cut / "test.csv")),
            *(("--items", str(items)) if items.exists() else ()),
            *case.more,
        ]
        done = subprocess.run(
            command,
            cwd=ROOT,
            env=os.environ | {"ENGAGE_BUILD_THREADS": str(CORES)},
            check=True,
            stdout=subprocess.PIPE,
            text=True,
            timeout=SECONDS,
        )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def line(name: str, case: Case, found: Mapping[str, Any]) -> str:
    figures = ", ".join(f"{metric} {found['metrics'][metric]:.4f}" for metric in case.metrics)
    shares = ", ".join(f"{source} {weight:g}" for source, weight in found["weights"].items())
    return (
        f"| {name} | {figures} | {found['users']:,} | {found['fit_seconds']:.0f} |"
        f" {found['peak_memory_mb']:,.0f} | {shares} |"
    )


# --- cuts ------------------------------------------------------------------------------------


def last_item(data: Path, cut: Path) -> None:
    """The last item of everybody is asked for."""
    paths: dict[str, list[Row]] = defaultdict(list)
    for row in read(data / "events.csv.gz"):
        paths[row["user"]].append(row)
    for path in paths.values():
        path.sort(key=lambda row: int(row["pos"]))
    write(cut / "train.csv", (row for path in paths.values() for row in path[:-1]))
    write(cut / "test.csv", (chosen(path[-1], "user", "item") for path in paths.values()))


def tenth_of_items(data: Path, cut: Path) -> None:
    """A random tenth of everybody's items is asked for."""
    paths: dict[str, list[Row]] = defaultdict(list)
    for row in read(data / "train.csv.gz"):
        paths[row["user"]].append(row)
    rng = np.random.default_rng(SEED)
    train, test = [], []
    for path in paths.values():
        asked = max(1, round(len(path) / 10)) if len(path) > 1 else 0
        held = set(rng.choice(len(path), asked, replace=False).tolist())
        for place, row in enumerate(path):
            (test if place in held else train).append(row)
    write(cut / "train.csv", train)
    write(cut / "test.csv", test)


def fifth_of_ratings(data: Path, cut: Path) -> None:
    """A random fifth of all ratings is asked for."""
    rows = list(read(data / "events.csv.gz"))
    held = np.random.default_rng(SEED).random(len(rows)) < 0.2
    write(cut / "train.csv", (row for row, asked in zip(rows, held, strict=True) if not asked))
    write(cut / "test.csv", (row for row, asked in zip(rows, held, strict=True) if asked))


def last_sessions(data: Path, cut: Path) -> None:
    """Every step of the last twentieth of the sessions is asked for."""
    sessions: dict[int, list[Row]] = defaultdict(list)
    for row in read(data / "train_sessions.csv.gz"):
        sessions[int(row["session"])].append(row)
    numbers = sorted(sessions)
    first = numbers[-len(numbers) // 20]
    write(cut / "train.csv", (r for n in numbers if n < first for r in sessions[n]))
    prefixes = []
    for number in numbers:
        if number >= first:
            items = [r["item"] for r in sorted(sessions[number], key=lambda r: int(r["pos"]))]
            prefixes += [
                {"history": " ".join(items[:at]), "next": items[at]} for at in range(1, len(items))
            ]
    write(cut / "test.csv", prefixes)


def last_weeks(data: Path, cut: Path) -> None:
    """What is bought in the last four weeks is asked for, known before them."""
    before, after = by_time(data)
    write(cut / "train.csv", before)
    write(cut / "test.csv", after)


def purchases_of_last_weeks(data: Path, cut: Path) -> None:
    """Each purchase of the last four weeks is asked for, known before its own moment."""
    before, after = by_time(data)
    write(cut / "train.csv", before)
    bought = (row for row in after if row["event"] == "purchase")
    write(cut / "test.csv", (chosen(row, "user", "item", "ts") for row in bought))


def purchases_with_views(data: Path, cut: Path) -> None:
    """As above, the histories going on until the moment of the purchase."""
    before, after = by_time(data)
    write(cut / "train.csv", [*before, *after])
    bought = (row for row in after if row["event"] == "purchase")
    write(cut / "test.csv", (chosen(row, "user", "item", "ts") for row in bought))


def by_time(data: Path) -> tuple[list[Row], list[Row]]:
    rows = list(read(data / "events.csv.gz"))
    times = [moment(row["ts"]) for row in rows]
    start = max(times) - timedelta(days=DAYS)
    before = [row for row, at in zip(rows, times, strict=True) if at < start]
    return before, [row for row, at in zip(rows, times, strict=True) if at >= start]


def moment(cell: str) -> datetime:
    if cell.isdecimal():
        return datetime.fromtimestamp(int(cell), UTC)
    return datetime.fromisoformat(cell).replace(tzinfo=UTC)


def chosen(row: Row, *names: str) -> Row:
    return {name: row[name] for name in names}


def read(path: Path) -> Iterable[Row]:
    with gzip.open(path, "rt", newline="", encoding="utf-8") as file:
        yield from csv.DictReader(file)


def write(path: Path, rows: Iterable[Row] | Sequence[Row]) -> None:
    rows = iter(rows)
    first = next(rows)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(first))
        writer.writeheader()
        writer.writerow(first)
        writer.writerows(rows)


NEXT = ("ndcg@10", "hr@10")
WIDE = ("ndcg@20", "recall@20")
CASES: Mapping[str, Case] = {
    "ml-1m": Case("ml-1m", last_item, NEXT),
    "amazon-beauty": Case("amazon-beauty", last_item, NEXT),
    "gowalla": Case("gowalla", tenth_of_items, (*WIDE, "coverage@20")),
    "diginetica": Case("diginetica", last_sessions, ("hr@20", "mrr@20")),
    "online-retail": Case("online-retail", last_weeks, WIDE, ("--repeats", "yes")),
    "online-retail-new": Case("online-retail", last_weeks, WIDE, ("--repeats", "no")),
    "retailrocket": Case("retailrocket-events", purchases_of_last_weeks, NEXT),
    "retailrocket-live": Case("retailrocket-events", purchases_with_views, NEXT),
    "ml-100k": Case("ml-100k", fifth_of_ratings, ("rmse", "precision@10", "recall@10")),
}

if __name__ == "__main__":
    main()
