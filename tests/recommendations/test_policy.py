import pytest

from catalog import filters
from recommendations import policy
from recommendations.errors import InvalidRanking
from recommendations.policy import Boost, Fatigue, Ranking

OWN = {"column": "brand", "op": "=", "value": "Own"}


def complaints(data):
    with pytest.raises(InvalidRanking) as caught:
        policy.parse(data)
    return [str(problem) for problem in caught.value.problems]


def test_everything_that_may_be_asked_for_is_read():
    found = policy.parse(
        {
            "variety": 0.3,
            "caps": {"category": 2, "brand": 1},
            "boosts": [{"filter": OWN, "factor": 1.5}],
            "pins": [{"place": 3, "item": "b"}, {"place": 1, "item": "a"}],
            "fatigue": {"damp_after": 3, "block_after": 6, "rest_days": 14},
        }
    )
    assert found == Ranking(
        variety=0.3,
        caps=(("brand", 1), ("category", 2)),
        boosts=(Boost(filters.parse(OWN), 1.5),),
        pins=((1, "a"), (3, "b")),
        fatigue=Fatigue(3, 6, 14),
    )


@pytest.mark.parametrize(
    "data", [{}, {"variety": 0}, {"caps": {}, "boosts": [], "pins": []}, {"fatigue": {}}]
)
def test_nothing_asked_for_is_no_ranking(data):
    assert policy.parse(data) is None


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        ([], "expected an object with variety, caps, boosts, pins, fatigue"),
        ({"novelty": 1}, "novelty: is not known here"),
        ({"variety": 1.1}, "variety: expected a number from 0 to 1"),
        ({"variety": True}, "variety: expected a number from 0 to 1"),
        ({"variety": float("nan")}, "variety: expected a number from 0 to 1"),
        ({"caps": {"category": 0}}, "caps.category: expected a whole number from 1 to 100"),
        ({"caps": [2]}, 'caps: expected at most 5 columns, such as {"category": 2}'),
        ({"caps": dict.fromkeys("abcdef", 1)}, "caps: expected at most 5 columns"),
        ({"boosts": [{"filter": OWN}]}, "boosts[0].factor: expected a number from 0.01 to 100"),
        ({"boosts": [{"factor": 2}]}, "boosts[0].filter: expected an object"),
        (
            {"boosts": [{"factor": 2, "filter": OWN | {"value": {"context": "trigger.brand"}}}]},
            "boosts[0].filter: must hold for everybody",
        ),
        ({"pins": [{"place": 0, "item": "a"}]}, "pins[0].place: expected a whole number from 1"),
        ({"pins": [{"place": 1}]}, "pins[0].item: expected the id of a product"),
        ({"pins": [{"place": 1, "item": "a"}] * 2}, "pins: “1” stands there twice"),
        ({"fatigue": {"damp_after": -1}}, "fatigue.damp_after: expected a whole number from 0"),
        (
            {"fatigue": {"rest_days": 91}},
            "fatigue.rest_days: expected a whole number from 1 to 90",
        ),
        (
            {"fatigue": {"damp_after": 3, "block_after": 3}},
            "fatigue.block_after: must come later than showing it less",
        ),
    ],
)
def test_what_cannot_be_meant_is_named_with_its_place(data, complaint):
    assert complaints(data)[0].startswith(complaint)


def test_all_problems_are_named_at_once():
    assert len(complaints({"variety": 2, "caps": {"category": "two"}, "pins": 1})) == 3
