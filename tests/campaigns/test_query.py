"""The SQL of a rule against the plain evaluator over the same rows."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from campaigns.segments import reach
from campaigns.segments.match import EventFact, Facts, matches
from campaigns.segments.query import profile_ids_sql
from campaigns.segments.rules import parse
from engage.lib.ids import uuid7
from engage.profiles.models import Consent, Device, Profile
from tests.factories import make_profile

NOW = datetime(2026, 11, 2, 12, 0, tzinfo=UTC)
NAMES = ["a", "b"]
TIMES = ["2026-11-01", "2026-02-30", "2026-11-02T12:00:00Z", "2026-11-02 13:00:00+01:00",
         "2026-11-02T11:59:59.999999", "2026-11-02T24:00", "1999-12-31T23:59:59-0500",
         "2026-11-02T12:00:00\n"]  # fmt: skip
SCALARS = st.one_of(
    st.sampled_from(["x", "xy", "X", "1", "true", "%s", "é", "", *TIMES]),
    st.sampled_from([0, 1, -1, 0.1, 1.0, 1.5, 2**53, 2**53 + 1, 1e22, 10**22, 1e-7]),
    st.booleans(),
)
VALUES = st.one_of(
    SCALARS, st.none(), st.lists(SCALARS, max_size=3), st.just({"x": 1}), st.just([["x"]])
)
WANTED = SCALARS.filter(lambda value: value != "")
NUMBERS = st.sampled_from([0, 1, -1, 0.1, 1.0, 2**53, 2**53 + 1, 1e22])
MOMENTS = st.one_of(
    st.sampled_from(["2026-11-01", "2026-11-02T12:00:00Z", "2026-11-02T11:59:59.999999"]),
    st.just({"days_ago": 1}),
)


def comparisons(subject):
    def of(op, value):
        return st.fixed_dictionaries({subject: st.sampled_from(NAMES), "op": op, "value": value})

    return st.one_of(
        of(st.sampled_from(["=", "!=", "contains"]), WANTED),
        of(st.sampled_from(["<", "<=", ">", ">="]), NUMBERS),
        of(st.just("in"), st.lists(WANTED, min_size=1, max_size=3)),
        of(st.just("starts with"), st.sampled_from(["x", "1", "2026", "%"])),
        of(st.sampled_from(["before", "after"]), MOMENTS),
        st.fixed_dictionaries(
            {subject: st.sampled_from(NAMES), "op": st.sampled_from(["is set", "is not set"])}
        ),
    )


DEEDS = st.tuples(
    st.sampled_from(["did", "did_not"]),
    st.sampled_from(["Product Viewed", "Order Completed"]),
    st.fixed_dictionaries(
        {},
        optional={
            "at_least": st.integers(1, 3),
            "within_days": st.sampled_from([1, 2.5, 7]),
            "item": st.sampled_from(["p1", ["p1", "p2"], "7"]),
            "where": st.lists(comparisons("property"), min_size=1, max_size=2),
        },
    ),
).map(lambda parts: {parts[0]: parts[1], **parts[2]})
RULES = st.recursive(
    st.one_of(comparisons("attribute"), DEEDS),
    lambda below: st.one_of(
        st.builds(lambda rules: {"all": rules}, st.lists(below, max_size=3)),
        st.builds(lambda rules: {"any": rules}, st.lists(below, max_size=3)),
        st.builds(lambda rule: {"not": rule}, below),
    ),
    max_leaves=6,
)
IDS = st.sampled_from(["p1", "p2", "", 7, 1.5, None, True])
PROPERTIES = st.fixed_dictionaries(
    {},
    optional={
        "a": VALUES,
        "b": VALUES,
        "product_id": IDS,
        "sku": IDS,
        "products": st.one_of(
            st.lists(
                st.one_of(
                    st.just("p1"),
                    st.fixed_dictionaries({}, optional={"product_id": IDS, "sku": IDS}),
                ),
                max_size=2,
            ),
            st.just("p1"),
        ),
    },
)
EVENTS = st.tuples(
    st.sampled_from(["Product Viewed", "Order Completed"]),
    st.sampled_from([timedelta(0), timedelta(days=1), timedelta(days=1, microseconds=1),
                     timedelta(days=3), timedelta(days=100)]),
    PROPERTIES,
)  # fmt: skip
PEOPLE = st.lists(
    st.tuples(
        st.fixed_dictionaries({}, optional={"a": VALUES, "b": VALUES}),
        st.lists(EVENTS, max_size=4),
    ),
    min_size=1,
    max_size=4,
)


@pytest.fixture(scope="module")
def partitions(django_db_setup, django_db_blocker):
    """Somewhere for the events of this file, whatever months they fall into."""
    with django_db_blocker.unblock(), connection.cursor() as cursor:
        cursor.execute("CREATE TABLE test_events_anywhen PARTITION OF profiles_event DEFAULT")
    yield
    with django_db_blocker.unblock(), connection.cursor() as cursor:
        cursor.execute("DROP TABLE test_events_anywhen")


def store_event(profile_id, name, ts, properties):
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO profiles_event (profile_id, ts, id, source_id, message_id, kind, name, "
            "properties, received_at) VALUES (%s, %s, %s, 1, %s, 'track', %s, %s, %s)",
            [profile_id, ts, str(uuid7()), str(uuid7()), name, json.dumps(properties), ts],
        )


def ids_of(rule, **bounds):
    sql, parameters = profile_ids_sql(rule, now=NOW, **bounds)
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return [row[0] for row in cursor.fetchall()]


@settings(
    max_examples=250, deadline=None, derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip
@given(people=PEOPLE, rule=RULES)
def test_sql_and_the_evaluator_give_the_same_people(partitions, db, people, rule):
    parsed = parse(rule)
    with transaction.atomic():
        facts = {}
        for attributes, events in people:
            profile = Profile.objects.create(attributes=attributes, first_seen=NOW, last_seen=NOW)
            for name, age, properties in events:
                store_event(profile.pk, name, NOW - age, properties)
            facts[profile.pk] = Facts(
                attributes, [EventFact(name, NOW - age, props) for name, age, props in events]
            )
        expected = sorted(pk for pk, known in facts.items() if matches(parsed, known, now=NOW))
        assert ids_of(parsed) == expected
        transaction.set_rollback(True)


def test_a_missing_attribute_is_not_equal_and_nothing_else(db):
    profile = make_profile()
    assert ids_of(parse({"attribute": "country", "op": "!=", "value": "DE"})) == [profile.pk]
    assert ids_of(parse({"not": {"attribute": "age", "op": "<", "value": 18}})) == [profile.pk]
    assert ids_of(parse({"attribute": "age", "op": "<", "value": 18})) == []


def test_merged_profiles_are_left_out(db):
    winner = make_profile(country="DE")
    loser = make_profile(country="DE")
    Profile.objects.filter(pk=loser.pk).update(merged_into=winner.pk)
    assert ids_of(parse({})) == [winner.pk]


def test_text_in_a_rule_never_becomes_sql(db):
    profile = make_profile(**{"a') OR (1=1": "x"})
    rule = {"attribute": "a') OR (1=1", "op": "=", "value": "x' OR 'a'='a"}
    assert ids_of(parse(rule)) == []
    assert ids_of(parse(rule | {"value": "x"})) == [profile.pk]


def test_bounds_cut_the_audience_into_ranges(db):
    people = [make_profile(country="DE").pk for _ in range(5)]
    rule = parse({"attribute": "country", "op": "=", "value": "DE"})
    assert ids_of(rule, after=people[0], upto=people[3]) == people[1:4]


def test_reach_counts_people_and_those_each_channel_can_reach(db):
    make_profile(email="a@shop.example", opted_in=("email",), country="DE")
    make_profile(email="b@shop.example", country="DE", push_token="t1")
    make_profile(country="DE", opted_in=("email",))
    make_profile(email="c@shop.example", opted_in=("email",), country="FR")
    gone = make_profile(country="DE", push_token="t2")
    Device.objects.filter(profile=gone).update(gone_at=NOW)
    rule = parse({"attribute": "country", "op": "=", "value": "DE"})
    assert reach.count(rule, now=NOW) == reach.Reach(
        people=4, email=1, push=1, web_push=0, sms=0, webhook=4, in_app=4, inbox=4
    )


def test_reach_by_sms_web_push_webhook_and_inbox_follows_consents_and_tokens(db):
    make_profile(phone="+491701234567", opted_in=("sms",), push_token="t1")
    make_profile(phone="+491701234568")
    reader = make_profile(push_token='{"endpoint": "https://push.example/1", "keys": {}}')
    Device.objects.filter(profile=reader).update(platform="web")
    for channel in ("webhook", "inbox"):
        Consent.objects.create(profile=reader, channel=channel, status="opted_out", stated_ms=0)
    assert reach.count(parse({}), now=NOW) == reach.Reach(
        people=3, email=0, push=1, web_push=1, sms=1, webhook=2, in_app=3, inbox=2
    )
