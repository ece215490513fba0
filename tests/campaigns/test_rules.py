from datetime import UTC, datetime

import pytest

from campaigns.errors import InvalidRule
from campaigns.segments.rules import AllOf, AnyOf, Comparison, Did, Moment, Not, parse, parse_time


def problems_of(data):
    with pytest.raises(InvalidRule) as caught:
        parse(data)
    return [str(problem) for problem in caught.value.problems]


def test_every_kind_of_node_becomes_its_own_type():
    rule = parse(
        {
            "all": [
                {"attribute": "country", "op": "=", "value": "DE"},
                {"any": [{"did": "Product Viewed", "at_least": 3, "within_days": 14}]},
                {"not": {"attribute": "email", "op": "is set"}},
                {"did_not": "Order Completed", "within_days": 30},
            ]
        }
    )
    assert rule == AllOf(
        (
            Comparison("country", "=", "DE"),
            AnyOf((Did("Product Viewed", at_least=3, within_days=14),)),
            Not(Comparison("email", "is set")),
            Not(Did("Order Completed", within_days=30)),
        )
    )


def test_an_empty_object_is_everybody():
    assert parse({}) == AllOf()


def test_every_bad_node_is_named_at_once():
    data = {
        "all": [
            {"attribute": "age", "op": "<", "value": "old"},
            {"any": [{"did": "", "at_least": 0}, 7]},
            {"not": {"attribute": "country", "op": "near", "value": "DE"}},
            {"did": "App Launched", "withindays": 3},
        ]
    }
    assert problems_of(data) == [
        "all[0].value: expected a number",
        "all[1].any[0].did: expected a text",
        "all[1].any[0].at_least: expected a whole number from 1 to 10000",
        "all[1].any[1]: expected an object, such as {'all': [...]}",
        "all[2].not.op: expected one of: =, !=, <, <=, >, >=, in, contains, starts with, "
        "is set, is not set, before, after",
        "all[3].withindays: is not known here",
    ]


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (None, "rule: expected an object, such as {'all': [...]}"),
        ({"all": {}}, "all: expected a list of conditions"),
        ({"al": []}, "rule: expected exactly one of: all, any, not, attribute, did, did_not"),
        ({"attribute": "a", "op": "="}, "value: is missing"),
        ({"attribute": "a", "op": "=", "value": None},
         "value: expected a text, a number, true or false"),
        ({"attribute": "a", "op": "in", "value": []},
         "value: expected a list of 1 to 1000 values"),
        ({"attribute": "a", "op": "=", "value": "\x00"},
         "value: has characters that no database can hold"),
        ({"attribute": "a", "op": "=", "value": float("inf")},
         "value: expected a text, a number, true or false"),
        ({"attribute": "a", "op": "is set", "value": 1}, "value: has no place beside “is set”"),
        ({"attribute": "a", "op": "before", "value": "2026-02-31"},
         "value: expected a time such as 2026-11-02T12:00:00Z, or {'days_ago': 7}"),
        ({"did": "A", "where": [{"price": 1}]},
         "where[0]: expected {'property': …, 'op': …, 'value': …}"),
        ({"did": "A", "within_days": True},
         "within_days: expected a number of days, more than 0 and at most 36500"),
    ],
)  # fmt: skip
def test_a_wrong_rule_says_what_is_wrong(data, problem):
    assert problems_of(data) == [problem]


def test_nesting_has_an_end():
    data = {"all": []}
    for _ in range(30):
        data = {"not": data}
    assert problems_of(data) == [".".join(["not"] * 11) + ": is nested deeper than 10"]


def test_a_rule_has_at_most_two_hundred_conditions():
    data = {"any": [{"attribute": "a", "op": "is set"}] * 5_000}
    assert problems_of(data) == ["any[199]: is one of more than 200 conditions"]


def test_a_time_without_zone_is_utc():
    assert parse_time("2026-11-02 09:30") == datetime(2026, 11, 2, 9, 30, tzinfo=UTC)
    assert parse_time("2026-11-02T09:30:00+02:00") == datetime(2026, 11, 2, 7, 30, tzinfo=UTC)
    assert parse_time("2026-11-02\n") is None


def test_a_moment_may_move_with_the_present(now):
    rule = parse({"attribute": "signed_up", "op": "after", "value": {"days_ago": 7}})
    assert rule == Comparison("signed_up", "after", Moment(days_ago=7))
    assert rule.value.resolve(now) == datetime(2026, 10, 26, 12, 0, tzinfo=UTC)
