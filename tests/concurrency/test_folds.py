"""Folds that are killed, folds that meet, and folds beside builds."""

import os
import random
import signal
import time

import pytest
from django.db import connection

from engage.lib import locks
from recommendations import build, registry, shelf
from recommendations.models import Build
from tests.concurrency.builder import builder
from tests.engage.collector.served import database_url
from tests.factories import NOON
from tests.recommendations.shops import make_shop, store_history
from tests.recommendations.test_build import behaviour
from tests.recommendations.test_fold import (
    IDS,
    PLAIN,
    assert_equals_a_build,
    assert_same_counts,
    fold_now,
    live_row,
    patches,
    sessions,
)

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]
ROUNDS = 24
LOCK = "recommendations: fold default"


@pytest.fixture
def shop(settings, tmp_path):
    settings.DATA_DIR = tmp_path
    shelf.forget()
    make_shop(IDS)
    store_history(behaviour())
    build.run("default", now=NOON, recipe=PLAIN)
    yield
    shelf.forget()


def something_happens(round_: int) -> None:
    path = (IDS[round_ % 20], IDS[(round_ + 11) % 20])
    store_history(sessions(*path, people=2, name=f"round{round_}-"))


def wait_until_let_go() -> None:
    """The database hears of a killed client a moment later, and may still do its last word."""
    with connection.cursor() as cursor:
        for _ in range(200):
            if locks.try_hold_session(cursor, LOCK):
                locks.release_session(cursor, LOCK)
                return
            time.sleep(0.05)
    raise AssertionError("the lock of a killed fold was never given back")


def assert_serves_what_its_row_names() -> None:
    """Neither an older patch nor half of one: the artifact alone only where the row names none."""
    shelf.forget()
    model, row = registry.live("default"), live_row()
    assert model.build_id == row.pk
    assert (model.base is not None) == bool(row.patch)
    assert not row.patch or row.patch in patches()


def test_fold_killed_at_any_moment_leaves_whole_lists_and_the_next_one_counts_once(shop):
    rng = random.Random(5)
    with builder(database_url=database_url()) as folds:
        something_happens(ROUNDS)
        started = time.perf_counter()
        assert folds.wait(folds.start("fold")) == "folded"
        takes = time.perf_counter() - started
        ends = []
        for round_ in range(ROUNDS):
            something_happens(round_)
            pid = folds.start("fold")
            time.sleep(rng.random() * takes)
            os.kill(pid, signal.SIGKILL)
            ends.append(folds.wait(pid))
            wait_until_let_go()
            assert_serves_what_its_row_names()
    assert "killed" in ends
    fold_now()
    assert len(patches()) <= 2
    assert_equals_a_build(PLAIN)


def test_of_two_folds_at_once_one_counts(shop):
    something_happens(0)
    with builder(database_url=database_url()) as folds:
        pids = [folds.start("fold"), folds.start("fold")]
        assert sorted(folds.wait(pid) for pid in pids) == ["folded", "nothing"]
    assert_serves_what_its_row_names()
    assert len(patches()) == 1
    assert_equals_a_build(PLAIN)


def test_folds_beside_builds_lose_nothing_and_count_nothing_twice(shop):
    with builder(database_url=database_url()) as both:
        first = live_row().pk
        for round_ in range(3):
            something_happens(3 * round_)
            pid, ends = both.start("build"), []
            while Build.objects.latest("pk").pk == first or not ends:
                something_happens(3 * round_ + 1)
                ends.append(both.wait(both.start("fold")))
            something_happens(3 * round_ + 2)
            both.wait(both.start("fold"))
            assert both.wait(pid) in {"live", "refused"}
            assert set(ends) <= {"folded", "nothing"}
            assert_serves_what_its_row_names()
            first = Build.objects.latest("pk").pk
    fold_now()
    patched = registry.live("default")
    assert patched.base is not None
    build.run("default", now=NOON, force=True)
    assert_same_counts(patched, registry.live("default"))
