"""Who plays the faults goes on when one fails."""

import argparse
import json
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
    assert said.out == ""
    assert said.err == "F-1: skipped, because only root can mount a small file system\n"
