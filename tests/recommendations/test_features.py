"""What is known of a product for a person."""

import dataclasses
import math
from datetime import timedelta

import numpy as np
import pytest

from recommendations import features, noting, persons, policy, serve, shelf
from recommendations.algorithms.readings import READINGS
from recommendations.exploring import FINDERS
from tests.factories import NOON
from tests.recommendations.shops import change, log_of, make_shop, publish, touch, who

pytestmark = pytest.mark.django_db
IDS = ["a", "b", "c", "d", "e", "f", "g"]  # of 10 to 16
BASKETS = [["a", *IDS[1:end]] for end in range(7, 1, -1)]


@pytest.fixture
def shop():
    catalog = make_shop(IDS, category=["x", "x", "y", "x", "y", "", "z"])
    catalog.columns = {"brand": "text", "added_at": "time"}
    catalog.save()
    for place, brand in enumerate("uuvvwww"):
        came = (NOON - timedelta(days=place)).isoformat()
        change(catalog, IDS[place], extra={"brand": brand, "added_at": came})
    publish(log_of(BASKETS, IDS), IDS)
    return catalog


def log(*people, **options):
    defaults = {"n": 6, "ladder": ["personal"], "log": True, "now": NOON}
    return [one.picks for one in serve.recommend(people, **(defaults | options))]


def known(pick):
    return dict(zip(features.LOGGED, pick.features, strict=True))


def whole(value):
    return round(1_000 * value)


def test_each_number_is_that_of_its_definition(shop):
    (picks,) = log(who(touch("a"), touch("c", hours_ago=2)))
    by_item = {pick.item: known(pick) for pick in picks}
    model = shelf.current("default").model
    number = model.item_ids.index("b")
    total = 1 + 0.8
    assert by_item["b"] == {
        "share": 1_000,
        "price": whole(math.log1p(11)),
        "price_ratio": whole(math.log(11 / 11)),
        "category": whole(1 / total),
        "brand": whole(1 / total),
        "sales": whole(math.log1p(model.arrays["sales"][number])),
        "trend": whole(math.log1p(model.arrays["trend"][number])),
        "met": whole(math.log1p(model.arrays["occurrences"][number])),
        "age": whole(math.log1p(1)),
        "touches": 2_000,
    }
    assert by_item["e"]["category"] == whole(0.8 / total)
    assert by_item["g"]["category"] == 0
    assert by_item["f"]["category"] is None
    best = picks[0].score
    assert [known(pick)["share"] for pick in picks] == [whole(pick.score / best) for pick in picks]


def test_many_people_are_told_what_each_is_told_alone(shop):
    ladder = ["personal"]
    everybody = [
        who(*(touch(item, hours_ago=place) for place, item in enumerate(items)))
        for items in ("", "a", "ab", "abcdef", "g", "fa", "dcb", "abcdefg", "c")
    ]
    assert len(everybody) > noting.MANY
    together = log(*everybody, ladder=ladder)
    assert together == [log(one, ladder=ladder)[0] for one in everybody]
    assert [len(picks) for picks in together] == [0, 6, 5, 1, 6, 5, 4, 0, 6]


def test_ranking_that_asks_for_nothing_logs_the_same(shop):
    people = [who(), who(touch("a")), who(touch("d"), touch("b")), who(touch("g"))]
    ladder = ["personal", "similar_to_last", "trending", "best_sellers", "hand_picked"]
    plain = log(*people, ladder=ladder, n=7)
    assert log(*people, ladder=ladder, n=7, ranking=policy.Ranking()) == plain


def test_share_is_of_what_the_rung_offered_also_where_the_best_was_passed_over(shop):
    rule = {"column": "id", "op": "=", "value": "b"}
    lowered = policy.parse({"boosts": [{"filter": rule, "factor": 0.01}]})
    (plain,) = log(who(touch("a")))
    (found,) = log(who(touch("a")), n=2, ranking=lowered)
    shares = {pick.item: known(pick)["share"] for pick in plain}
    assert [pick.item for pick in found] == ["c", "d"]
    assert [known(pick)["share"] for pick in found] == [shares["c"], shares["d"]]


def test_nobody_known_and_nothing_learned_leave_gaps():
    catalog = make_shop(["a", "b"], category=["", ""])
    change(catalog, "a", price=None)
    (picks,) = log(who(), ladder=["best_sellers"])
    assert picks == []
    publish(log_of([["a"]], ["a"]), ["a"])
    [[pick]] = log(who(), ladder=["best_sellers"])
    found = known(pick)
    assert found["touches"] == 0
    gaps = ("price", "price_ratio", "category", "brand", "age")
    assert [found[name] for name in gaps] == [None] * 5
    assert found["met"] == whole(math.log1p(1))


def test_every_rung_and_source_has_a_number_or_is_left_alone():
    assert set(serve.RUNGS) - set(features.FIXED) <= set(features.RUNGS)
    assert set(READINGS) | set(FINDERS) <= set(features.SOURCES)


def test_sources_of_many_are_those_of_each_also_where_rows_are_newer(shop):
    model = shelf.current("default").model
    where = np.full(len(model.item_ids), -1, np.int32)
    where[2] = 0
    newer = 1 - model.arrays["personal_sources"][2:3].clip(0, 1)
    patched = dataclasses.replace(model, where=where, rows={"personal_sources": newer})
    numbers, places = (grid.astype(np.int32).ravel() for grid in np.mgrid[0:7, 0:5])
    for one in (model, patched):
        found = one.source_places(numbers, places).tolist()
        names = [one.source(*pair) for pair in zip(numbers, places, strict=True)]
        assert [one.facts["sources"][place] for place in found] == names


def test_nothing_is_written_unless_asked(shop):
    [picks] = log(who(touch("a")), log=False)
    assert {pick.features for pick in picks} == {None}


def test_pinned_products_have_no_share(shop):
    pins = policy.parse({"pins": [{"place": 1, "item": "g"}]})
    [picks] = log(who(touch("a")), ranking=pins)
    assert picks[0].item == "g"
    assert known(picks[0])["share"] is None
    assert known(picks[1])["share"] == 1_000


@pytest.mark.parametrize("written", [None, [], [1, 2], ["1"] * 10, {"share": 1}, [0.5] * 10])
def test_what_was_not_written_by_us_is_not_read(written):
    assert features.read(written) is None


def test_what_is_written_is_read(shop):
    [picks] = log(who(touch("a")))
    for pick in picks:
        back = features.read(pick.features)
        np.testing.assert_array_equal(
            back, [np.nan if value is None else value for value in pick.features]
        )


@pytest.mark.parametrize("kept", [features.KEPT, 5])
def test_what_is_told_of_one_list_is_what_is_described_of_many(shop, monkeypatch, kept):
    monkeypatch.setattr(features, "KEPT", kept)
    change(shop, "d", price=None)
    change(shop, "e", price=0)
    change(shop, "f", price="1234567.89")
    here = shelf.current("default")
    rng = np.random.default_rng(4)
    # More touches than products count, so some products stand in the list more than once.
    people = [
        dataclasses.replace(persons.read([], here, {}), recent=rng.integers(0, 7, n).tolist())
        for n in rng.integers(0, features.TOUCHES + 5, 300)
    ]
    rows = rng.integers(0, len(IDS), (300, 4)).astype(np.int32)
    shares = rng.choice([math.nan, 0.0, 0.0125, 1.0, 1e9, *rng.random(20)], (300, 4))
    known = features.Features(here)
    described = known.describe(people, rows, shares)
    for person, own, share, told in zip(people, rows, shares, described, strict=True):
        assert known.tell(person.recent, own.tolist(), share.tolist()) == features.write(told)
    assert known.tell([0], [], []) == []


def slow_alike(kind, row, touched):
    weights = [0.8**step for step, other in enumerate(touched) if other >= 0]
    if kind[row] < 0 or not weights:
        return math.nan
    same = [
        0.8**step for step, other in enumerate(touched) if other >= 0 and kind[other] == kind[row]
    ]
    return sum(same) / sum(weights)


def test_likeness_is_that_of_the_obvious_sum():
    rng = np.random.default_rng(1)
    kind = rng.integers(-1, 4, 50).astype(np.int32)
    rows = rng.integers(0, 50, (30, 6)).astype(np.int32)
    touched = rng.integers(0, 50, (30, 5)).astype(np.int32)
    for own, length in zip(touched, rng.integers(0, 6, 30), strict=True):
        own[length:] = -1
    found = features.alike(kind, rows, touched)
    expected = [
        [slow_alike(kind, row, own) for row in asked]
        for asked, own in zip(rows, touched, strict=True)
    ]
    np.testing.assert_allclose(found, expected, atol=1e-12)
