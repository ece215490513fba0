import shutil
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from catalog.models import Catalog
from recommendations import artifact, fold, registry, serve, shelf
from recommendations.errors import NothingToRollBack
from recommendations.models import Build
from tests.factories import NOON
from tests.recommendations.shops import (
    VIEW,
    change,
    log_of,
    make_shop,
    publish,
    store_history,
    touch,
    who,
)

pytestmark = pytest.mark.django_db
IDS = ["a", "b", "c"]
FIRST = [["a", "b"]] * 3
SECOND = [["a", "c"]] * 3


@pytest.fixture
def two_builds():
    make_shop(IDS)
    return publish(log_of(FIRST, IDS), IDS), publish(log_of(SECOND, IDS), IDS)


def damage(build):
    path = registry.folder_of(build) / "personal_items.npy"
    path.write_bytes(path.read_bytes()[:-3])
    registry.forget()


def picked():
    (found,) = serve.recommend([who(touch("a"))], n=1, now=NOON)
    return [(pick.item, pick.rung) for pick in found.picks]


def test_newest_published_build_is_served(two_builds):
    assert registry.live("default").build_id == two_builds[1].pk
    assert picked() == [("c", "personal")]


def test_without_a_build_nothing_is_live():
    assert registry.live("default") is None


def test_publishing_replaces_the_live_build(two_builds):
    states = [Build.objects.get(pk=build.pk).state for build in two_builds]
    assert states == ["replaced", "live"]


def test_damaged_artifact_gives_way_to_the_last_good_one(two_builds):
    damage(two_builds[1])
    assert registry.live("default").build_id == two_builds[0].pk
    assert picked() == [("b", "personal")]


def test_artifact_damaged_while_it_is_served_gives_way_within_a_second(two_builds):
    ticks = iter([0.0, 0.0, 0.0, 0.5, 2.0, 2.0, 2.0])
    clock = ticks.__next__
    assert registry.live("default", clock=clock).build_id == two_builds[1].pk
    path = registry.folder_of(two_builds[1]) / "personal_items.npy"
    path.write_bytes(bytes(reversed(path.read_bytes())))
    assert registry.live("default", clock=clock).build_id == two_builds[1].pk
    assert registry.live("default", clock=clock).build_id == two_builds[0].pk


def test_without_any_good_artifact_popularity_is_served(two_builds):
    Build.objects.filter(pk=two_builds[1].pk).update(
        popular={"sales": ["b"], "trend": ["gone", "c"]}
    )
    for build in two_builds:
        damage(build)
    assert registry.live("default") is None
    (found,) = serve.recommend([who(touch("a"))], n=3, now=NOON)
    assert [(pick.item, pick.rung) for pick in found.picks] == [
        ("c", "trending_in_category"),
        ("b", "best_sellers"),
    ]


def test_rolling_back_serves_the_earlier_build(two_builds):
    assert registry.roll_back("default").pk == two_builds[0].pk
    assert picked() == [("b", "personal")]
    dismissed = Build.objects.get(pk=two_builds[1].pk)
    assert (dismissed.state, dismissed.reason) == (
        "refused",
        f"Rolled back to build {two_builds[0].pk}.",
    )


def test_rolling_back_passes_over_a_damaged_build(two_builds):
    third = publish(log_of(FIRST, IDS), IDS)
    damage(two_builds[1])
    assert registry.roll_back("default").pk == two_builds[0].pk
    assert Build.objects.get(pk=third.pk).state == "refused"


def test_nothing_to_roll_back_to_changes_nothing():
    make_shop(IDS)
    only = publish(log_of(FIRST, IDS), IDS)
    with pytest.raises(NothingToRollBack, match="no earlier build"):
        registry.roll_back("default")
    assert Build.objects.get(pk=only.pk).state == "live"


def test_old_artifacts_go_and_the_live_one_stays(two_builds, settings):
    settings.KEEP_BUILDS = 2
    third, fourth = publish(log_of(FIRST, IDS), IDS), publish(log_of(SECOND, IDS), IDS)
    registry.drop_old("default")
    kept = [build.pk for build in Build.objects.exclude(artifact="").order_by("pk")]
    assert kept == [third.pk, fourth.pk]
    assert sorted(path.name for path in registry.artifacts_dir().iterdir()) == [
        f"default-{third.pk}",
        f"default-{fourth.pk}",
    ]


def test_live_build_stays_however_old_it_is(two_builds, settings):
    settings.KEEP_BUILDS = 2
    for state in ("refused", "refused", "refused"):
        later = publish(log_of(FIRST, IDS), IDS)
        Build.objects.filter(pk=later.pk).update(state=state)
    Build.objects.filter(pk=two_builds[0].pk).update(state="live")
    registry.drop_old("default")
    registry.forget()
    assert registry.live("default").build_id == two_builds[0].pk


def test_refused_builds_do_not_push_out_what_may_be_fallen_back_on(two_builds, settings):
    settings.KEEP_BUILDS = 2
    for _ in range(3):
        later = publish(log_of(FIRST, IDS), IDS)
        Build.objects.filter(pk=later.pk).update(state="refused")
        Build.objects.filter(pk=two_builds[1].pk).update(state="live")
    registry.drop_old("default")
    assert sorted(path.name for path in registry.artifacts_dir().iterdir()) == sorted(
        f"default-{build.pk}" for build in (*two_builds, later)
    )
    assert registry.roll_back("default").pk == two_builds[0].pk


def test_build_that_is_not_live_any_more_is_not_rolled_back(two_builds):
    with pytest.raises(NothingToRollBack, match=f"Build {two_builds[0].pk} is not live any more"):
        registry.roll_back("default", live=two_builds[0].pk)
    assert Build.objects.get(state="live").pk == two_builds[1].pk


def test_former_build_is_served_while_another_thread_maps_the_new_one(two_builds, monkeypatch):
    clock = iter(range(100, 900, 2)).__next__
    assert registry.live("default", clock=clock).build_id == two_builds[1].pk
    Build.objects.filter(pk=two_builds[1].pk).update(state="refused")
    Build.objects.filter(pk=two_builds[0].pk).update(state="live")
    load, seen = artifact.load, []

    def slow(*args, **options):
        with ThreadPoolExecutor(1) as pool:
            beside = pool.submit(registry.live, "default", clock=clock)
            seen.append(beside.result(timeout=10).build_id)
        return load(*args, **options)

    monkeypatch.setattr(artifact, "load", slow)
    assert registry.live("default", clock=clock).build_id == two_builds[0].pk
    assert seen == [two_builds[1].pk]


def test_choice_that_failed_is_made_again(two_builds, monkeypatch):
    clock = iter(range(100, 900, 2)).__next__
    with monkeypatch.context() as patch:
        patch.setattr(registry, "first_good", boom)
        with pytest.raises(MemoryError):
            registry.live("default", clock=clock)
    assert registry.live("default", clock=clock).build_id == two_builds[1].pk


def boom(*args, **options):
    raise MemoryError


def test_removed_folder_is_a_damaged_artifact(two_builds):
    shutil.rmtree(registry.folder_of(two_builds[1]))
    registry.forget()
    assert registry.live("default").build_id == two_builds[0].pk


def test_patch_that_gave_way_to_newer_ones_costs_no_second_look_at_the_build(
    two_builds, monkeypatch
):
    """Folds take old patches away; who was asked nothing for a minute finds its own gone."""
    for name in ("ann", "ben", "cem"):
        store_history([(name, "a", VIEW, 0.02), (name, "b", VIEW, 0.01)])
        assert fold.fold_in("default", now=NOON)["counted"]
        if name == "ann":
            mine = registry.Held()
            registry.refresh("default", mine)
    former = mine.artifact
    assert not former.is_unchanged()
    monkeypatch.setattr(artifact, "load", boom)
    registry.refresh("default", mine)
    assert mine.artifact.base is former.base
    assert mine.artifact.is_unchanged()


def test_age_of_a_model_is_the_age_of_what_it_learned_from(two_builds):
    Build.objects.create(catalog="other", state="failed", started_at=NOON)
    ages = registry.model_ages(NOON + timedelta(hours=1))
    assert ages == {"default": 3600.0, "other": None}


def test_stock_patch_keeps_the_matching_of_ids(two_builds):
    before = shelf.current("default")
    change(Catalog.objects.get(name="default"), "b", in_stock=False)
    after = shelf.current("default")
    assert after is not before
    assert after.row_of is before.row_of
