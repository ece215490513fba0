"""Builds that are killed, and builds that meet."""

import os
import signal
import time

import pytest
from django.db import connection

from engage.lib import locks
from recommendations import build, registry, shelf
from recommendations.models import Build
from recommendations.steps import STEPS
from tests.concurrency.builder import builder
from tests.engage.collector.served import database_url
from tests.factories import NOON
from tests.recommendations.shops import make_shop, store_history
from tests.recommendations.test_build import IDS, behaviour

pytestmark = pytest.mark.django_db(transaction=True)
ROUNDS = 4  # of a kill in each step


@pytest.fixture
def shop(settings, tmp_path):
    settings.DATA_DIR = tmp_path
    shelf.forget()
    make_shop(IDS)
    store_history(behaviour(people=150))
    yield
    shelf.forget()


def live_now() -> int:
    registry.forget()
    return registry.live("default").build_id


def wait_for_step(step: str, *, after: int) -> None:
    """Until the build that comes after another has reached the step, or has ended."""
    late = [*STEPS][[*STEPS].index(step) :]
    for _ in range(60_000):
        newest = Build.objects.latest("pk")
        if newest.pk > after and (
            newest.state != "running" or newest.progress.get("step") in [*late, "done"]
        ):
            return
        time.sleep(0.001)
    raise AssertionError(f"no build came to {step}")


def wait_until_let_go() -> None:
    """The database hears of a killed client a moment later, and may still do its last word."""
    with connection.cursor() as cursor:
        for _ in range(200):
            if locks.try_hold_session(cursor, build.LOCK):
                locks.release_session(cursor, build.LOCK)
                return
            time.sleep(0.05)
    raise AssertionError("the lock of a killed build was never given back")


@pytest.mark.slow
def test_build_killed_at_any_moment_leaves_a_whole_live_one(shop):
    first = build.run("default", now=NOON)
    with builder(database_url=database_url()) as builds:
        steps, ends = set(), set()
        for step in [*STEPS] * ROUNDS:
            before, former = live_now(), Build.objects.latest("pk").pk
            pid = builds.start()
            wait_for_step(step, after=former)
            os.kill(pid, signal.SIGKILL)
            ends.add(builds.wait(pid))
            wait_until_let_go()
            newest = Build.objects.latest("pk")
            steps.add(newest.progress.get("step"))
            assert newest.state in {"running", "live", "replaced"}
            assert live_now() == (newest.pk if newest.state == "live" else before)
            assert Build.objects.filter(state="live").count() == 1
    assert first.pk <= live_now()
    assert "killed" in ends
    assert len(steps) >= 2  # short steps may be over before anybody looks
    made = build.run("default", now=NOON)
    assert made.state == "live"
    assert not Build.objects.filter(state="running").exists()
    names = {path.name for path in registry.artifacts_dir().iterdir()}
    kept = set(Build.objects.exclude(artifact="").values_list("artifact", flat=True))
    assert names == kept


@pytest.mark.slow
def test_of_two_builds_at_once_one_is_refused_and_leaves_no_row(shop):
    with builder(database_url=database_url()) as builds:
        pids = [builds.start(), builds.start()]
        assert sorted(builds.wait(pid) for pid in pids) == ["BuildRunning", "live"]
    assert Build.objects.count() == 1
