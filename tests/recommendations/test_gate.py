"""The gate at its edges: what goes live, what is kept and says why."""

import dataclasses
import math

import numpy as np
import pytest

from recommendations import build, registry
from recommendations.algorithms.recipe import Recipe
from recommendations.models import Build
from tests.factories import NOON, make_product
from tests.recommendations.shops import log_of, publish
from tests.recommendations.test_build import IDS, behaviour, make_shop, store_history


def verdict(
    *, new: float = 0.2, live: float = 0.2, breadth=0.5, live_breadth=0.5, had=100, has=100
):
    row = Build(data={"interactions": has})
    row.quality = {
        "ndcg@10": new,
        "live_ndcg@10": live,
        "coverage@20": breadth,
        "live_coverage@20": live_breadth,
    }
    return build.judge(row, Build(pk=7, data={"interactions": had}))


def test_equal_figures_go_live():
    assert verdict() == ""
    assert verdict(new=0.0, live=0.0, breadth=0.0, live_breadth=0.0) == ""


def test_one_percent_less_goes_live_and_a_hair_less_does_not():
    for live in np.random.default_rng(1).uniform(0, 1, 1_000).tolist():
        edge = live * 0.99
        assert verdict(new=edge, live=live) == ""
        assert "more than 1% below" in verdict(new=math.nextafter(edge, 0), live=live)


def test_half_of_the_coverage_goes_live_and_a_hair_less_does_not():
    for live in np.random.default_rng(2).uniform(0, 1, 1_000).tolist():
        assert verdict(breadth=live / 2, live_breadth=live) == ""
        narrow = verdict(breadth=math.nextafter(live / 2, 0), live_breadth=live)
        assert narrow.startswith("Its lists cover")


def test_half_of_the_interactions_go_live_and_one_less_does_not():
    assert verdict(had=100, has=50) == ""
    assert verdict(had=100, has=49).startswith("It learned from 49 interactions")


def test_more_accuracy_does_not_excuse_lists_that_halved():
    assert verdict(new=0.9, breadth=0.2).startswith("Its lists cover 20.0%")


@pytest.fixture
def weeks(db):
    """A shop of ten weeks, where the newest week can be held back."""
    shop = make_shop(IDS)
    store_history(behaviour(people=200, pause=7))
    return shop


def live_figure() -> float:
    return build.run("default", now=NOON).quality["live_ndcg@10"]


def old_build() -> Build:
    """Live, and learned before the week that is held back."""
    return publish(log_of([IDS[at : at + 4] for at in range(16)] * 3, IDS), IDS)


def test_live_build_is_asked_in_its_own_numbering(weeks):
    old_build()
    before = live_figure()
    assert before > 0.3
    Build.objects.all().delete()
    for new in ("a0", "p03b", "p17a"):  # all numbers behind them move
        make_product(catalog=weeks, item_id=new)
    old_build()
    assert live_figure() == before


def test_products_that_went_leave_gaps_and_no_wrong_neighbours(weeks):
    loaded = registry.find_artifact(old_build())
    left = [name for name in IDS if name not in {"p04", "p11"}]
    items = build.renumber(loaded, left).neighbours
    own = loaded.reading("personal")[0]
    for place, name in enumerate(left):
        listed = [left[number] for number in items[place] if number >= 0]
        was = [IDS[number] for number in own[IDS.index(name)] if number >= 0]
        assert listed == [one for one in was if one in left]


def test_damaged_live_build_is_measured_by_its_recipe(weeks):
    """Its artifact cannot answer; that must not be a way past the gate."""
    live = old_build()
    path = registry.folder_of(live) / "personal_items.npy"
    path.write_bytes(path.read_bytes()[:-1])
    made = build.run("default", now=NOON, recipe=build.recipe_of(live))
    assert made.quality["live_ndcg@10"] == made.quality["ndcg@10"]
    poor = build.run("default", now=NOON, recipe=Recipe(top=1))
    assert (poor.state, "NDCG@10" in poor.reason) == ("refused", True)


def test_refused_build_is_kept_and_says_why(weeks):
    build.run("default", now=NOON)
    poor = build.run("default", now=NOON, recipe=Recipe(top=1))
    assert poor.state == "refused"
    assert poor.reason
    assert registry.find_artifact(poor).build_id == poor.pk
    assert registry.live("default").build_id != poor.pk


def test_build_that_is_stopped_by_hand_does_not_look_as_if_it_went_on(weeks, monkeypatch):
    def stop(*args, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(build, "fit", stop)
    with pytest.raises(KeyboardInterrupt):
        build.run("default", now=NOON)
    row = Build.objects.get()
    assert (row.state, row.reason) == ("failed", "KeyboardInterrupt: ")


def test_choice_that_measures_worse_gives_way_to_the_live_one(weeks, monkeypatch):
    live = build.run("default", now=NOON)
    poor = dataclasses.replace(build.recipe_of(live), weights={"similar": 1.0}, history=1)
    monkeypatch.setattr(build, "choose_recipe", lambda *args, **options: poor)
    made = build.run("default", now=NOON)
    assert (made.state, made.reason) == ("live", "")
    assert made.parameters == live.parameters
    assert made.checksum == live.checksum


def test_recipe_that_somebody_asks_for_is_refused_as_it_is(weeks):
    live = build.run("default", now=NOON)
    poor = dataclasses.replace(build.recipe_of(live), weights={"similar": 1.0}, history=1)
    made = build.run("default", now=NOON, recipe=poor)
    assert (made.state, made.parameters) == ("refused", poor.as_dict())
