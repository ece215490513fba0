"""Who plays the faults goes on when one fails."""

import argparse
import json
import subprocess
import sys
from unittest.mock import create_autospec

import pytest

from tests.faults import run
from tests.faults.checker import Found
from tests.faults.errors import Wrong
from tests.faults.faults import Fault
from tests.faults.harness import Installation

OPTIONS = argparse.Namespace(seed=1, rounds=None, minutes=1.0, keep=None, write_docs=False)


def breaks_off(house, rng) -> Found:
    raise Wrong("not within 1 s: it is over")


def loses(house, rng) -> Found:
    return Found(lost=1, wrong=["1 message is lost"])


def holds(house, rng) -> Found:
    return Found(injections=1)


@pytest.fixture
def driver(monkeypatch):
    """The houses that were renewed, and how a list of faults is played."""
    house = create_autospec(Installation, instance=True)
    house.prepared = True
    renewed = []
    monkeypatch.setattr(run, "renew", renewed.append)
    monkeypatch.setattr(run, "is_answered_by_workers", lambda: True)

    def play(*plays, needs_root=False, **options) -> bool:
        numbers = [f"F-{place}" for place, _ in enumerate(plays, 1)]
        faults = [
            Fault(number, "a fault", "nothing is lost", each, rounds=2, needs_root=needs_root)
            for number, each in zip(numbers, plays, strict=True)
        ]
        monkeypatch.setattr(run, "FAULTS", dict(zip(numbers, faults, strict=True)))
        changed = argparse.Namespace(**(vars(OPTIONS) | options))
        return run.run_all(house, numbers, changed)

    return play, renewed


def lines(capsys) -> list[tuple]:
    said = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    return [(line["test"], line["rounds"], line["passed"], line["wrong"]) for line in said]


def test_after_one_that_fails_the_others_are_played_and_the_end_is_bad(driver, capsys):
    play, renewed = driver
    assert not play(breaks_off, loses, holds)
    assert lines(capsys) == [
        ("F-1", 2, False, ["Wrong: not within 1 s: it is over"] * 2),
        ("F-2", 2, False, ["1 message is lost"] * 2),
        ("F-3", 2, True, []),
    ]
    assert len(renewed) == 3  # after each round that broke off, and after what was lost


def test_when_all_hold_the_end_is_good_and_the_installation_is_kept(driver, capsys):
    play, renewed = driver
    assert play(holds, holds)
    assert [line[0] for line in lines(capsys)] == ["F-1", "F-2"]
    assert renewed == []


def test_without_time_no_fault_begins_and_the_end_is_bad(driver, capsys):
    play, _ = driver
    assert not play(holds, minutes=-1.0)
    assert lines(capsys) == []


def test_who_may_not_mount_is_told_what_was_skipped(driver, capsys, monkeypatch):
    play, _ = driver
    monkeypatch.setattr(run.os, "geteuid", lambda: 1_000)
    assert play(holds, needs_root=True)
    said = capsys.readouterr()
    assert json.loads(said.out) == {"test": "F-1", "skipped": run.NOT_ROOT}
    assert said.err == f"F-1: {run.NOT_ROOT}\n"


LANE = """
import json, pathlib, sys, time
third = pathlib.Path(sys.argv[1])
for number in map(str.strip, iter(sys.stdin.readline, "")):
    if number == "F-dead":
        sys.exit(3)
    while number == "F-long" and not third.exists():
        time.sleep(0.01)
    if number == "F-3":
        third.touch()
    print("words of a command")
    print(json.dumps({"test": number}), flush=True)
"""


@pytest.mark.parametrize(
    ("numbers", "played", "good"),
    [
        (["F-long", "F-1", "F-2", "F-3"], ["F-1", "F-2", "F-3", "F-long"], True),
        (["F-1", "F-dead", "F-2", "F-3"], ["F-1", "F-2", "F-3"], False),
        (["F-dead", "F-dead", "F-1"], [], False),
    ],
)
def test_a_lane_takes_the_next_fault_when_it_is_done(
    capsys, monkeypatch, tmp_path, numbers, played, good
):
    real = subprocess.Popen
    monkeypatch.setattr(
        run.subprocess,
        "Popen",
        lambda line, **more: real([sys.executable, "-c", LANE, tmp_path / "third"], **more),
    )
    options = argparse.Namespace(**(vars(OPTIONS) | {"lanes": 2}))
    assert run.run_lanes(numbers, options) == good
    said = [json.loads(line)["test"] for line in capsys.readouterr().out.splitlines()]
    assert sorted(said) == played
