import pytest

from recommendations.due_again import DAY_MS, list_due

NOW = 1_000 * DAY_MS


def ago(*days):
    return [("a", NOW - round(day * DAY_MS)) for day in days]


def items(bought, sent_back=()):
    return [due.item for due in list_due(bought, sent_back, now_ms=NOW)]


def test_due_is_from_three_quarters_of_the_usual_gap_to_three_times_it():
    found = [day for day in (14, 15, 20, 60, 61) if items(ago(day, day + 20, day + 40))]
    assert found == [15, 20, 60]


def test_bought_once_has_no_rhythm():
    assert items(ago(20)) == []


def test_twice_on_one_day_is_once():
    assert items([("a", NOW - 10 * DAY_MS), ("a", NOW - 10 * DAY_MS + 1_000)]) == []


def test_usual_gap_is_the_median():
    (due,) = list_due(ago(10, 20, 30, 230), [], now_ms=NOW)
    assert (due.gap_days, due.score, due.due_ms) == (10.0, 1.0, NOW)


def test_the_one_that_is_due_most_exactly_comes_first():
    bought = [
        (item, NOW - day * DAY_MS)
        for item, gap in (("late", 5), ("exact", 10), ("early", 12))
        for day in (10, 10 + gap)
    ]
    found = list_due(bought, [], now_ms=NOW)
    assert [due.item for due in found] == ["exact", "early", "late"]
    assert [due.score for due in found] == pytest.approx([1.0, 10 / 12, 0.5])


def test_sent_back_after_the_last_purchase_is_not_due_but_before_it_is():
    bought = ago(10, 20)
    assert items(bought, [("a", NOW - 5 * DAY_MS)]) == []
    assert items(bought, [("a", NOW - 15 * DAY_MS)]) == ["a"]


def test_order_of_the_pairs_says_nothing():
    bought = ago(10, 20, 30) + [("b", ts) for _, ts in ago(12, 24)]
    assert list_due(bought, [], now_ms=NOW) == list_due(bought[::-1], [], now_ms=NOW)
