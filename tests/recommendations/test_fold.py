"""Between builds: what people did since stands in the live lists, as a build would have it."""

import json

import numpy as np
import pytest

from engage.lib import clock
from engage.profiles import activity, erasure, history
from engage.profiles.identity import find_profile_id
from engage.profiles.models import Profile
from recommendations import audience, build, due, fold, registry, serve, shelf, tasks
from recommendations.algorithms.recipe import Recipe
from recommendations.models import Build
from tests.factories import NOON, make_catalog, make_product
from tests.recommendations.shops import VIEW, change, make_shop, store_history, touch, who
from tests.recommendations.test_build import behaviour

pytestmark = pytest.mark.django_db
IDS = [f"p{n:02}" for n in range(20)]
RECIPE = Recipe(top=10, again=0.0)
# Nothing divided by how often items occur, which is as old as a row: then all must be equal.
PLAIN = Recipe(top=40, similar_source=0, similar_target=0, next_source=0, next_target=0)


@pytest.fixture
def shop():
    catalog = make_shop(IDS)
    store_history(behaviour())
    build.run("default", now=NOON, recipe=RECIPE)
    return catalog


@pytest.fixture
def plain_shop(shop):
    build.run("default", now=NOON, recipe=PLAIN, force=True)
    return shop


def sessions(*path: str, people: int, name: str = "new") -> list:
    """So many people who view these products one after the other, an hour ago."""
    return [
        (f"{name}{u}", item, VIEW, 0.04 - step / 10_000)
        for u in range(people)
        for step, item in enumerate(path)
    ]


def fold_now():
    shelf.forget()
    return fold.run("default", now=NOON)


def live_row() -> Build:
    return Build.objects.get(state="live")


def patches() -> list[str]:
    """The folders that there are for the live build."""
    name = live_row().artifact
    return sorted(f"{name}/{path.name}" for path in (registry.patches_dir() / name).iterdir())


def damage_patch() -> None:
    path = registry.patches_dir() / live_row().patch / "sales.npy"
    path.write_bytes(path.read_bytes()[:-1])
    shelf.forget()


class Killed(Exception):
    pass


def boom(*args, **options):
    raise Killed


def similar(item: str, n: int = 5):
    asked = {"strategy": "similar", "item": item, "n": n, "ladder": (), "now": NOON}
    (found,) = serve.recommend([who()], **asked)
    return [pick.item for pick in found.picks]


def rows_of(model, name: str) -> dict[str, list]:
    """The lists of a reading by product id, whichever file they are in."""
    lists = {}
    newer = model.newer(name)
    for number, item_id in enumerate(model.item_ids):
        place = newer.where[number] if newer.where.size else -1
        old = model.reading(name)
        items, scores = (
            (newer.neighbours[place], newer.strength[place])
            if place >= 0
            else (old[0][number], old[1][number])
        )
        named = [model.item_ids[j] for j in items.tolist() if j >= 0]
        lists[item_id] = list(zip(named, scores.tolist(), strict=False))
    return lists


def assert_equals_a_build(recipe: Recipe, *, counted: set[str] | None = None):
    """The lists are, bit by bit, those of a build of the same events; all, or those counted."""
    patched = registry.live("default")
    build.run("default", now=NOON, recipe=recipe, force=True)
    fresh = registry.live("default")
    assert fresh.base is None
    names = counted or set(patched.item_ids)
    if counted:
        assert names == {patched.item_ids[number] for number in np.flatnonzero(patched.where >= 0)}
    for reading in ("similar", "next"):
        old, new = rows_of(patched, reading), rows_of(fresh, reading)
        assert {name: old[name] for name in names} == {name: new[name] for name in names}
    assert_same_counts(patched, fresh)


def assert_same_counts(patched, fresh):
    # The marks are sums over numbers, which newcomers move from one build to the next.
    for whole in ("sales", "trend", "occurrences", "similar_met", "next_met"):
        mine = dict(zip(patched.item_ids, patched.arrays[whole].tolist(), strict=True))
        assert mine == dict(zip(fresh.item_ids, fresh.arrays[whole].tolist(), strict=True))


def test_a_pattern_of_thirty_sessions_shows_after_the_fold(shop):
    assert "p13" not in similar("p02")
    store_history(sessions("p02", "p13", people=30))
    facts = fold_now()
    assert similar("p02")[0] == "p13"
    assert (facts["counted"], facts["waiting"]) == (2, 0)
    assert_equals_a_build(RECIPE, counted={"p02", "p13"})


def test_two_folds_are_as_good_as_one(plain_shop):
    store_history(sessions("p02", "p13", people=3))
    fold_now()
    store_history(sessions("p13", "p07", people=4, name="more"))
    assert fold_now()["rows"] == 3
    assert_equals_a_build(PLAIN)


def test_nothing_new_is_not_folded(shop):
    assert fold_now() == {}
    store_history(sessions("p02", "p13", people=1))
    assert fold_now()["counted"] == 2
    before = live_row().patch
    assert fold_now() == {}
    assert Build.objects.get(state="live").patch == before


def test_an_erased_person_is_subtracted(plain_shop):
    before = rows_of(registry.live("default"), "similar")
    store_history(sessions("p02", "p13", people=1))
    fold_now()
    assert rows_of(registry.live("default"), "similar")["p02"] != before["p02"]
    erasure.erase(find_profile_id(user_id="new0"), now=NOON)
    fold_now()
    assert rows_of(registry.live("default"), "similar") == before
    assert_equals_a_build(PLAIN)


def test_a_rebuilt_history_changes_nothing(shop):
    store_history(sessions("p02", "p13", people=2))
    fold_now()
    history.rebuild()
    shelf.forget()
    assert fold.run("default", now=NOON) == {}


def test_a_newcomer_has_lists_and_stands_in_them(shop):
    make_product(catalog=shop, item_id="n01", name="New")
    change(shop, "n01")
    store_history(sessions("p02", "n01", people=30))
    fold_now()
    assert similar("n01")[0] == "p02"
    assert similar("p02")[0] == "n01"
    (found,) = serve.recommend([who()], strategy="trending", n=20, now=NOON)
    assert "n01" in [pick.item for pick in found.picks]
    assert_equals_a_build(RECIPE, counted={"n01", "p02"})


def test_what_does_not_fit_into_one_fold_comes_with_the_next(plain_shop, monkeypatch):
    monkeypatch.setattr(fold, "MOST_WORK", 1)
    shop = plain_shop
    make_product(catalog=shop, item_id="n01", name="New")
    change(shop, "n01")
    store_history(sessions("p02", "n01", people=30))
    facts = fold_now()
    rounds = 1
    while facts["waiting"]:
        facts, rounds = fold_now(), rounds + 1
    assert rounds == 2
    assert fold_now() == {}
    assert_equals_a_build(PLAIN)


def test_a_damaged_patch_is_passed_over(shop):
    before = similar("p02")
    store_history(sessions("p02", "p13", people=30))
    fold_now()
    assert similar("p02") != before
    folder = registry.patches_dir() / live_row().patch
    for path in sorted(folder.iterdir()):
        raw = path.read_bytes()
        path.write_bytes(raw[: len(raw) // 2])
        shelf.forget()
        assert similar("p02") == before
        path.write_bytes(raw)
    shelf.forget()
    assert similar("p02")[0] == "p13"


def test_a_patch_of_another_build_is_passed_over(shop):
    store_history(sessions("p02", "p13", people=30))
    fold_now()
    live = live_row()
    manifest = registry.patches_dir() / live.patch / "manifest.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"facts": {"build": 0}}))
    shelf.forget()
    assert registry.live("default").base is None


def test_the_next_build_begins_without_a_patch(shop):
    store_history(sessions("p02", "p13", people=30))
    fold_now()
    build.run("default", now=NOON, recipe=RECIPE)
    shelf.forget()
    assert registry.live("default").base is None
    assert similar("p02")[0] == "p13"
    assert fold_now() == {}


def test_only_the_last_patches_are_kept(shop):
    names = []
    for round_ in range(4):
        store_history(sessions("p02", "p13", people=2, name=f"r{round_}-"))
        fold_now()
        names.append(live_row().patch)
    assert patches() == sorted(names[-2:])


def test_what_a_killed_fold_left_goes_with_the_next(shop, monkeypatch):
    with monkeypatch.context() as killed:
        killed.setattr(fold, "save", boom)
        store_history(sessions("p02", "p13", people=30))
        with pytest.raises(Killed):
            fold_now()
    assert (live_row().patch, len(patches())) == ("", 1)
    assert "p13" not in similar("p02")
    fold_now()
    assert patches() == [live_row().patch]
    assert similar("p02")[0] == "p13"


def test_a_fold_that_lost_its_lock_spoils_nothing_of_the_one_that_took_it(shop, monkeypatch):
    """Its connection went while it worked: it must not write over the patch of the other."""
    store_history(sessions("p02", "p13", people=30))
    merged, others = fold.merged, []

    def meanwhile(*args):
        if not others:
            others.append(None)  # the other one comes here, too
            others.append(fold.fold_in("default", now=NOON))
        return merged(*args)

    monkeypatch.setattr(fold, "merged", meanwhile)
    fold_now()
    assert others[1]["counted"] == 2
    assert live_row().patch_facts == others[1]
    shelf.forget()
    assert similar("p02")[0] == "p13"
    store_history(sessions("p02", "p07", people=40, name="more"))
    fold_now()
    assert similar("p02")[0] == "p07"


def test_a_damaged_patch_is_made_anew_though_nothing_happened(shop):
    store_history(sessions("p02", "p13", people=30))
    fold_now()
    before = live_row().patch
    damage_patch()
    assert "p13" not in similar("p02")
    assert fold_now()["counted"] == 2
    assert live_row().patch != before
    assert similar("p02")[0] == "p13"
    assert fold_now() == {}


def test_a_damaged_patch_of_nothing_is_forgotten(shop):
    store_history(sessions("p02", "p13", people=1))
    fold_now()
    erasure.erase(find_profile_id(user_id="new0"), now=NOON)
    damage_patch()
    assert fold_now() == {}
    assert (live_row().patch, live_row().patch_checksum) == ("", "")
    assert registry.live("default").build_id == live_row().pk


def test_a_full_patch_is_left_alone_until_the_build(shop, monkeypatch):
    monkeypatch.setattr(fold, "MOST_ROWS", 2)
    store_history(sessions("p02", "p13", people=30))
    fold_now()
    store_history(sessions("p03", "p07", people=30, name="more"))
    fold_now()
    assert live_row().patch_facts["full"]
    assert similar("p02")[0] == "p13"
    store_history(sessions("p04", "p08", people=30, name="most"))
    with monkeypatch.context() as reading:
        reading.setattr(fold, "read", boom)
        assert fold_now() == {}
    build.run("default", now=NOON, recipe=RECIPE)
    store_history(sessions("p02", "p14", people=60, name="last"))
    fold_now()
    assert similar("p02")[0] == "p14"


def test_everybody_erased_leaves_empty_lists(shop):
    for profile in Profile.objects.all():
        erasure.erase(profile.pk, now=NOON)
    fold_now()
    model = registry.live("default")
    for reading in ("personal", "similar", "next"):
        assert not any(rows_of(model, reading).values())
    assert not model.arrays["sales"].any()
    assert fold_now() == {}


def test_rolled_back_to_a_build_with_a_patch_it_is_brought_up_to_date(plain_shop):
    store_history(sessions("p02", "p13", people=30))
    fold_now()
    first = live_row()
    build.run("default", now=NOON, recipe=PLAIN, force=True)
    store_history(sessions("p13", "p07", people=40, name="more"))
    fold_now()
    assert registry.roll_back("default").pk == first.pk
    shelf.forget()
    assert (similar("p02")[0], similar("p13")[0]) == ("p13", "p02")
    fold_now()
    assert similar("p13")[0] == "p07"
    assert_equals_a_build(PLAIN)


def test_one_catalog_that_cannot_be_folded_does_not_keep_the_others_waiting(shop, monkeypatch):
    make_catalog(name="broken")
    rung = []
    monkeypatch.setattr(tasks.fold, "delay", rung.append)
    tasks.fold_all()
    assert rung == ["broken", "default"]


def test_a_pile_of_bells_is_one_build(shop, monkeypatch):
    monkeypatch.setattr(fold, "MOST_ROWS", 1)
    store_history(sessions("p02", "p13", people=30))
    Build.objects.update(started_at=clock.now() - due.AT_MOST_EVERY)
    rung = []
    monkeypatch.setattr(tasks.build_if_due, "delay", rung.append)
    for _ in range(3):
        tasks.fold("default")
    assert rung == ["default"] * 3
    for name in rung:
        tasks.build_if_due(name)
    assert Build.objects.count() == 2


def test_picks_name_what_is_counted_anew(shop):
    store_history(sessions("p02", "p13", people=30))
    fold_now()
    (found,) = serve.recommend([who(touch("p02"))], n=1, now=NOON)
    assert [(p.item, p.source) for p in found.picks] == [("p13", "next")]


def test_without_a_live_build_there_is_nothing_to_fold():
    make_shop(IDS)
    assert fold.run("default", now=NOON) == {}
    assert fold.run("nowhere", now=NOON) == {}


def test_an_audience_is_that_of_the_live_lists(shop):
    make_product(catalog=shop, item_id="new")
    change(shop, "new")
    store_history(sessions("p00", "new", "p07", people=30))
    fold_now()
    for item in ("p00", "p07", "new"):
        found = audience.find(item, n=100, now=NOON)
        assert found.profiles == len(found.top) >= 30
        for one in found.top:
            touches = activity.recent(one.profile_id)
            [filled] = serve.recommend(
                [who(*touches)], n=21, ladder=["personal"], repeats=True, now=NOON
            )
            assert one.score == next(p.score for p in filled.picks if p.item == item)


def test_cold_products_are_counted_with_what_was_folded(shop):
    make_product(catalog=shop, item_id="new")
    change(shop, "new")
    index = shelf.current("default").products.index
    assert index["new"] in shelf.current("default").choice(None).cold
    store_history(sessions("p00", "new", people=5))
    fold_now()
    assert index["new"] not in shelf.current("default").choice(None).cold
