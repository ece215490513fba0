"""Rankers: trained, judged, served, switched off, damaged."""

from datetime import timedelta

import numpy as np
import pytest

from recommendations import features, policy, rankers, serve
from recommendations.errors import NoSuchRanker
from recommendations.features import FEATURES
from recommendations.models import HandPicked, Ranker
from tests.factories import NOON
from tests.recommendations.logs import alike, train
from tests.recommendations.shops import log_of, make_shop, publish, touch, who

pytestmark = pytest.mark.django_db
IDS = ["a", "b", "c", "d", "e", "f", "g"]  # of 10 to 16; what is dear is clicked
BASKETS = [["a", *IDS[1:end]] for end in range(7, 1, -1)]


@pytest.fixture
def shop():
    catalog = make_shop(IDS, category=["x", "x", "x", "x", "y", "y", "z"])
    publish(log_of(BASKETS, IDS), IDS)
    return catalog


def ask(*people, **options):
    defaults = {"n": 3, "ladder": ["personal"], "now": NOON}
    found = serve.recommend(people or [who(touch("a"))], **(defaults | options))
    return [[pick.item for pick in one.picks] for one in found]


# --- the gate ---------------------------------------------------------------------------------


def test_ranker_that_finds_what_people_like_goes_live():
    row = train()
    assert (row.state, row.reason) == ("live", "")
    assert row.published_at == NOON
    assert row.figures["impressions"] == 16_000
    assert row.figures["ndcg"] > 1.1 * row.figures["ndcg_as_shown"]
    assert next(iter(row.weights)) == "price"
    assert sum(row.weights.values()) == pytest.approx(1, abs=0.001)


def test_random_clicks_are_refused():
    row = train(alike)
    assert (row.state, row.reason) == ("refused", rankers.NOT_BETTER)
    assert row.artifact == ""
    assert rankers.live("default") is None


def test_too_little_says_how_much_is_missing_and_its_row_is_taken_by_the_next():
    row = train(alike, lists=1_000)
    assert row.state == "waiting"
    count = 200 - row.figures["clicks"]
    assert count < 0
    assert row.reason == "It needs 2,000 more products seen in messages."
    few = train(lambda table: np.full(len(table), 0.01), lists=1_000)
    missing = 200 - few.figures["clicks"]
    assert few.pk == row.pk
    assert few.reason == (
        f"It needs 2,000 more products seen in messages and {missing} more clicks on them."
    )
    assert train().pk == row.pk
    assert Ranker.objects.get().state == "live"


def test_nothing_shown_at_all_waits():
    row = train(lists=0)
    assert row.reason == (
        "It needs 10,000 more products seen in messages and 200 more clicks on them."
    )


def test_better_one_takes_the_place_of_the_live_one():
    first, second = train(), train(seed=2)
    first.refresh_from_db()
    assert (first.state, second.state) == ("replaced", "live")
    assert rankers.live("default").pk == second.pk


def test_same_logs_give_the_same_bits():
    assert train().checksum == train().checksum


def test_each_catalog_has_its_own():
    train(catalog="shoes")
    assert rankers.live("default") is None
    assert rankers.live("shoes") is not None


# --- serving ----------------------------------------------------------------------------------


def test_live_ranker_orders_the_candidates_of_a_rung(shop):
    assert ask() == [["b", "c", "d"]]
    train()
    assert set(ask()[0]) == {"e", "f", "g"}  # of 14 and more
    assert ask(n=6)[0][3:] == [item for item in ask(n=6)[0] if item in "bcd"]


def test_picks_keep_their_source_reason_and_score(shop):
    def picks():
        [one] = serve.recommend([who(touch("a"))], n=6, ladder=["personal"], now=NOON)
        return {pick.item: pick._replace(rank=0) for pick in one.picks}

    plain = picks()
    train()
    assert picks() == plain


def test_rungs_keep_their_order(shop):
    train()
    (found,) = ask(n=7, ladder=["personal", "best_sellers"])
    assert found[-1] == "a"


def test_list_picked_by_hand_keeps_its_order(shop):
    HandPicked.objects.create(catalog="default", item_ids=["b", "g", "c"])
    train()
    assert ask(ladder=["hand_picked"]) == [["b", "g", "c"]]


def test_caps_and_boosts_hold_over_a_ranker(shop):
    train()
    ranking = policy.parse({"caps": {"category": 1}})
    (found,) = ask(ranking=ranking)
    assert len(found) == 3
    assert [sum(item in kind for item in found) for kind in ("bcd", "ef", "g")] == [1, 1, 1]
    assert found[2] in "bcd"
    rule = {"column": "id", "op": "=", "value": "b"}
    boosted = policy.parse({"boosts": [{"filter": rule, "factor": 100}]})
    assert ask(ranking=boosted)[0][0] == "b"


def test_only_the_first_candidates_are_ordered_and_the_others_come_behind(shop, monkeypatch):
    monkeypatch.setattr("recommendations.reranking.RANKED", 3)
    train()
    ranking = policy.Ranking(variety=1e-9)  # looks at two hundred
    (found,) = ask(n=6, ranking=ranking)
    assert set(found[:3]) == {"b", "c", "d"}
    assert found[3:] == ["e", "f", "g"]


def test_one_call_for_many_gives_what_single_calls_give(shop):
    train()
    people = [who(), who(touch("a")), who(touch("d"), touch("b")), who(touch("g"))]
    ladder = ["personal", "similar_to_last", "trending", "best_sellers"]
    together = ask(*people, n=5, ladder=ladder)
    assert together == [ask(one, n=5, ladder=ladder)[0] for one in people]


def test_what_is_logged_under_a_ranker_is_what_it_saw(shop, monkeypatch):
    """Training sees the numbers of serving: each pick's are among those that were looked at."""
    looked = []
    real = rankers.trees.probabilities

    def watch(trees, table, **options):
        looked.extend(table.tolist())
        return real(trees, table, **options)

    train()
    monkeypatch.setattr("recommendations.reranking.probabilities", watch)
    [one] = serve.recommend([who(touch("a"))], n=4, ladder=["personal"], log=True, now=NOON)
    seen = [[None if cell != cell else int(cell) for cell in row] for row in looked]
    assert len(one.picks) == 4
    for pick in one.picks:
        head = [1, features.RUNGS.index(pick.rung), features.SOURCES.index(pick.source)]
        assert head + pick.features in seen


# --- damage -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["manifest.json", "value.npy", "left.npy", "item_text.npy"])
def test_damaged_ranker_is_passed_over(shop, name):
    row = train()
    path = rankers.folder_of(row) / name
    raw = bytearray(path.read_bytes())
    raw[-3] ^= 1
    path.write_bytes(bytes(raw))
    assert ask() == [["b", "c", "d"]]
    assert rankers.live("default") is None
    rankers.switch_off(row.pk)
    with pytest.raises(NoSuchRanker, match="files are gone or damaged"):
        rankers.use(row.pk, now=NOON)


def test_ranker_that_is_damaged_while_it_is_served_is_passed_over_within_seconds(shop):
    row = train()
    assert rankers.live("default", clock=lambda: 0.0).pk == row.pk
    (rankers.folder_of(row) / "value.npy").unlink()
    assert rankers.live("default", clock=lambda: 3.0) is not None
    assert rankers.live("default", clock=lambda: 4.0) is None


def test_ranker_of_a_release_that_looked_at_other_things_is_passed_over(shop, monkeypatch):
    monkeypatch.setattr(rankers, "FEATURES", (*FEATURES[:-1], "moon"))
    train()
    monkeypatch.setattr(rankers, "FEATURES", FEATURES)
    rankers.forget()
    assert rankers.live("default") is None


# --- by hand ----------------------------------------------------------------------------------


def test_switched_off_serves_the_plain_order_and_new_ones_wait(shop):
    row = train()
    rankers.switch_off(row.pk)
    assert ask() == [["b", "c", "d"]]
    later = train(seed=2, now=NOON + timedelta(days=1))
    assert (later.state, later.reason) == ("off", rankers.HELD)
    assert ask() == [["b", "c", "d"]]
    rankers.use(later.pk, now=NOON)
    assert "g" in ask()[0]
    assert train(seed=3).state == "live"


def test_one_that_was_replaced_can_be_used_again(shop):
    first, second = train(), train(seed=2)
    rankers.use(first.pk, now=NOON)
    second.refresh_from_db()
    assert (rankers.live("default").pk, second.state) == (first.pk, "replaced")


def test_buttons_that_come_too_late_are_refused():
    refused = train(alike)
    with pytest.raises(NoSuchRanker, match="is not live"):
        rankers.switch_off(refused.pk)
    with pytest.raises(NoSuchRanker, match="it is refused"):
        rankers.use(refused.pk, now=NOON)
    with pytest.raises(NoSuchRanker, match="There is no ranker 0"):
        rankers.use(0, now=NOON)


def test_old_files_go(monkeypatch):
    monkeypatch.setattr(rankers, "KEPT", 2)
    rows = [train(seed=seed) for seed in range(3)]
    for row in rows:
        row.refresh_from_db()
    assert [bool(row.artifact) for row in rows] == [False, True, True]
    folders = {path.name for path in rankers.folder_of(rows[2]).parent.iterdir()}
    assert folders == {row.artifact for row in rows[1:]}


def test_without_a_ranker_nothing_is_chosen_anew(shop, monkeypatch):
    monkeypatch.setattr("recommendations.serve.lay", None)
    assert ask() == [["b", "c", "d"]]
