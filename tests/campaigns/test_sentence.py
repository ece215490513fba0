import pytest

from campaigns.segments.rules import parse
from campaigns.segments.sentence import describe


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ({}, "everybody"),
        ({"any": []}, "nobody"),
        ({"attribute": "country", "op": "=", "value": "DE"}, "people whose country is DE"),
        (
            {"all": [
                {"did": "Product Viewed", "at_least": 3, "within_days": 14},
                {"did_not": "Order Completed", "within_days": 1},
            ]},
            "people who did Product Viewed at least 3 times in 14 days "
            "and who did not do Order Completed in 1 day",
        ),
        (
            {"all": [
                {"any": [
                    {"attribute": "city", "op": "in", "value": ["Ulm", "Bonn", "Köln"]},
                    {"attribute": "vip", "op": "=", "value": True},
                ]},
                {"not": {"attribute": "age", "op": "<", "value": 18}},
            ]},
            "people (whose city is one of Ulm, Bonn or Köln or whose vip is yes) "
            "and except those whose age is below 18",
        ),
        (
            {"did": "Product Added", "item": "p1",
             "where": [{"property": "price", "op": ">", "value": 19.5}]},
            "people who did Product Added of p1 with price is above 19.5",
        ),
        (
            {"attribute": "signed_up", "op": "before", "value": {"days_ago": 30}},
            "people whose signed_up is before 30 days ago",
        ),
    ],
)  # fmt: skip
def test_a_rule_reads_as_a_sentence(data, sentence):
    assert describe(parse(data)) == sentence
