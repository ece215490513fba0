import numpy as np
import pytest
from django.db import connections

from engage.lib import locks
from engage.lib.errors import NotFound
from recommendations import build, registry, serve
from recommendations.algorithms.popularity import best_first
from recommendations.algorithms.recipe import Recipe
from recommendations.errors import BuildRunning
from recommendations.models import Build
from recommendations.steps import STEPS
from tests.factories import NOON
from tests.recommendations.shops import (
    BUY,
    VIEW,
    log_of,
    make_shop,
    publish,
    store_history,
    touch,
    who,
)

pytestmark = pytest.mark.django_db
IDS = [f"p{n:02}" for n in range(20)]
POOR = Recipe(top=1)


def behaviour(*, people=60, pause=0.5, seed=1):
    """People who go through neighbouring products: after p03 comes p04 or p05."""
    rng = np.random.default_rng(seed)
    rows = []
    for u in range(people):
        steps = int(rng.integers(4, 9))
        at, days_ago = int(rng.integers(0, len(IDS))), float(rng.uniform(0, 14)) + steps * pause
        for _ in range(steps):
            event = VIEW if rng.random() < 0.7 else BUY
            rows.append((f"u{u}", IDS[at % len(IDS)], event, days_ago))
            at += int(rng.integers(1, 3))
            days_ago -= pause
    return rows


@pytest.fixture
def shop():
    catalog = make_shop(IDS)
    store_history(behaviour())
    return catalog


def test_build_is_measured_and_published(shop):
    made = build.run("default", now=NOON)
    assert (made.state, made.reason) == ("live", "")
    assert made.quality["protocol"] == "last item of each profile"
    assert made.quality["profiles"] > 40
    assert made.quality["ndcg@10"] > 0.3
    assert made.data["profiles"] == 60
    assert set(made.timings) == {*STEPS, "total", "peak_memory_mb"}
    assert made.popular["sales"][0] in IDS
    assert registry.live("default").build_id == made.pk


def test_published_build_is_served(shop):
    build.run("default", now=NOON)
    (found,) = serve.recommend([who(touch("p03"))], n=2, now=NOON)
    assert {pick.item for pick in found.picks} == {"p04", "p05"}


def test_same_history_builds_the_same_bits(shop):
    first, second = build.run("default", now=NOON), build.run("default", now=NOON)
    assert first.pk != second.pk
    assert first.checksum == second.checksum
    assert first.popular == second.popular


def test_lists_that_are_remembered_are_those_of_the_artifact(shop):
    made = build.run("default", now=NOON, recipe=Recipe(half_life_days=1, window_days=1, tilt=2))
    live = registry.live("default")
    for name in ("sales", "trend"):
        listed = [live.item_ids[number] for number in best_first(live.arrays[name])]
        assert made.popular[name] == listed


def test_worse_build_is_refused_and_the_old_one_stays(shop):
    good = build.run("default", now=NOON)
    poor = build.run("default", now=NOON, recipe=POOR)
    assert poor.state == "refused"
    assert poor.reason.startswith("Its NDCG@10 of 0.")
    assert f"of the live build {good.pk} on the same held-back events" in poor.reason
    assert poor.quality["live_ndcg@10"] == good.quality["ndcg@10"]
    assert registry.live("default").build_id == good.pk


def test_refused_build_can_be_published_by_force(shop):
    build.run("default", now=NOON)
    forced = build.run("default", now=NOON, recipe=POOR, force=True)
    assert forced.state == "live"
    assert forced.reason.startswith("Published by force. Its NDCG@10")


def test_better_build_after_a_poor_one_is_published(shop):
    build.run("default", now=NOON, recipe=POOR)
    better = build.run("default", now=NOON)
    assert better.state == "live"
    assert better.quality["ndcg@10"] > better.quality["live_ndcg@10"]


def test_build_from_half_the_events_is_refused(shop):
    good = build.run("default", now=NOON)
    Build.objects.filter(pk=good.pk).update(data=good.data | {"interactions": 10_000})
    made = build.run("default", now=NOON)
    assert made.state == "refused"
    assert "the live build" in made.reason
    assert "check that the events and the catalog are complete" in made.reason


def test_lists_that_became_narrow_are_refused():
    live = Build(pk=1, data={"interactions": 10})
    new = Build(data={"interactions": 10})
    new.quality = {
        "ndcg@10": 0.3,
        "live_ndcg@10": 0.3,
        "coverage@20": 0.2,
        "live_coverage@20": 0.5,
    }
    assert (
        build.judge(new, live) == "Its lists cover 20.0% of the products, those of build 1 50.0%."
    )
    new.quality["coverage@20"] = 0.25
    assert build.judge(new, live) == ""


def test_live_artifact_that_saw_less_answers_as_it_is(settings):
    """Cut by the clock: the live build learned before the held-back week."""
    make_shop(IDS)
    store_history(behaviour(people=200, pause=7))
    useless = publish(log_of([["p00", "p19"]], IDS), IDS)
    made = build.run("default", now=NOON)
    assert made.quality["protocol"] == "newest 7 days"
    assert made.quality["live_ndcg@10"] < made.quality["ndcg@10"]
    assert made.state == "live"
    assert Build.objects.get(pk=useless.pk).state == "replaced"


def test_neighbours_move_with_their_ids():
    make_shop(["a", "b", "c"])
    live = publish(log_of([["a", "b"], ["a", "c"], ["a", "c"]], ["a", "b", "c"]), ["a", "b", "c"])
    loaded = registry.live("default")
    assert loaded.build_id == live.pk
    items, scores, _ = build.renumber(loaded, ["0", "a", "c"])
    assert items[1].tolist()[:2] == [2, -1]
    assert (items[0] == -1).all()
    assert (scores[0] == 0).all()
    assert scores[1, 0] > 0


def test_nothing_to_learn_is_said_and_the_live_build_stays():
    make_shop(IDS)
    live = publish(log_of([["p00", "p01"]], IDS), IDS)
    made = build.run("default", now=NOON)
    assert (made.state, made.reason) == (
        "failed",
        "No event yet is about a product of catalog 'default'.",
    )
    assert registry.live("default").build_id == live.pk


def test_unknown_catalog_is_refused_and_nothing_written():
    with pytest.raises(NotFound, match="no catalog 'nowhere'"):
        build.run("nowhere", now=NOON)
    assert Build.objects.count() == 0


def test_killed_build_is_closed_by_the_next(shop):
    killed = Build.objects.create(catalog="default", state="running", started_at=NOON)
    whole = registry.artifacts_dir() / f"default-{killed.pk}"
    whole.mkdir(parents=True)
    left = registry.artifacts_dir() / f"default-{killed.pk}.0a.partial"
    left.mkdir(parents=True)
    made = build.run("default", now=NOON)
    assert made.state == "live"
    killed.refresh_from_db()
    assert (killed.state, killed.reason) == ("failed", build.KILLED)
    assert not whole.exists()
    assert not left.exists()


@pytest.mark.parametrize("step", ["read", "fit", "write", "judge"])
def test_build_that_breaks_keeps_the_live_one(shop, monkeypatch, step):
    good = build.run("default", now=NOON)

    def break_down(*args, **options):
        raise MemoryError("no room")

    target = build.interactions if step == "read" else build
    monkeypatch.setattr(target, step, break_down)
    with pytest.raises(MemoryError):
        build.run("default", now=NOON, recipe=Recipe(top=50))
    broken = Build.objects.latest("pk")
    assert (broken.state, broken.reason) == ("failed", "MemoryError: no room")
    during = {"read": "read", "fit": "measure", "write": "write", "judge": "write"}
    assert broken.progress["step"] == during[step]
    registry.forget()
    assert registry.live("default").build_id == good.pk
    monkeypatch.undo()
    assert build.run("default", now=NOON).state == "live"


def test_second_build_waits_for_nobody(shop):
    other = connections["default"].copy()
    try:
        with other.cursor() as cursor:
            assert locks.try_hold_session(cursor, build.LOCK)
        with pytest.raises(BuildRunning):
            build.run("default", now=NOON)
    finally:
        other.close()
    assert Build.objects.count() == 0


def test_progress_names_every_step_and_never_goes_back(shop):
    heard = []
    made = build.run("default", now=NOON, progress=lambda step, share: heard.append((step, share)))
    starts = dict(reversed(heard))
    assert starts == {**STEPS, "done": 1.0}
    assert [share for _, share in heard] == sorted(share for _, share in heard)
    made.refresh_from_db()
    assert (made.progress["step"], made.progress["share"]) == ("done", 1.0)
