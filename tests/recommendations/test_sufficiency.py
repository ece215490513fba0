import pytest

from recommendations.features import FEATURES
from recommendations.sufficiency import (
    LEAST_CLICKS,
    LEAST_IMPRESSIONS,
    STRATEGIES,
    advise,
    list_steps,
)

GROWN = {
    "described_percent": 90,
    "interactions": 25_310,
    "days": 60.5,
    "profiles_with_two": 4_000,
    "asked": 900,
    "impressions": 8_760,
    "clicks": 199,
}


def by_name(facts):
    return {step.name: step for step in list_steps(facts)}


def test_a_shop_without_any_data_can_only_be_picked_for_by_hand():
    steps = list_steps({})
    assert [step.state for step in steps] == ["ready", "next", *["later"] * 5]
    assert [step.share for step in steps] == [1.0, *[0.0] * 6]
    assert steps[2].sentence == "needs 200 more events about products"


def test_what_is_missing_is_counted():
    step = by_name(GROWN)["Learned from what was shown"]
    assert step.sentence == "needs 1,240 more products seen in messages and 1 more clicks on them"
    assert step.state == "next"
    assert step.share == 0.876  # of the need that is furthest away


def test_what_is_there_is_said():
    step = by_name(GROWN)["Trending"]
    assert (step.state, step.share) == ("ready", 1.0)
    assert step.sentence == "25,310 events about products and 60 days of events"


def test_exactly_enough_is_enough_and_a_little_less_is_not():
    for strategy in STRATEGIES:
        enough = {need.fact: need.least for need in strategy.needs}
        assert by_name(enough)[strategy.name].state == "ready"
        for need in strategy.needs:
            short = by_name(enough | {need.fact: need.least - 0.001})[strategy.name]
            assert short.state != "ready"
            assert short.sentence == f"needs 1 more {need.words}"


def test_only_the_first_that_lacks_something_is_next():
    steps = list_steps(GROWN | {"described_percent": 10})
    states = [step.state for step in steps]
    assert states == ["ready", "next", "ready", "ready", "ready", "ready", "later"]


def test_unknown_fact_counts_as_nothing():
    assert list_steps({"interactions": None}) == list_steps({})


@pytest.mark.parametrize(
    ("facts", "sentence"),
    [
        (
            GROWN,
            "Worth using now: personal, chosen on your own events. Next: learned from what was "
            "shown, needs 1,240 more products seen in messages and 1 more clicks on them.",
        ),
        (
            GROWN | {"impressions": 10_000, "clicks": 200},
            "Worth using now: learned from what was shown. Nothing is missing.",
        ),
    ],
)
def test_advice_names_the_best_that_is_ready_and_the_next(facts, sentence):
    assert advise(list_steps(facts)) == sentence


def test_every_threshold_has_a_reason():
    assert all(len(strategy.reason) > 20 for strategy in STRATEGIES)


def test_a_ranker_has_ten_clicks_for_each_thing_it_weighs():
    assert 10 * len(FEATURES) <= LEAST_CLICKS == 0.02 * LEAST_IMPRESSIONS
    assert len(FEATURES) == 13  # as the reason says
