from datetime import timedelta

import pytest

from campaigns import in_app
from campaigns.app_content import public_id
from campaigns.in_app import Standing, is_eligible
from campaigns.segments.match import EventFact, Facts
from tests.factories import make_campaign, make_segment

pytestmark = pytest.mark.django_db


def make_live(now, **fields):
    make_campaign(channel="in_app", schedule="launch", state="active", **fields)
    return in_app.load(now=now).campaigns[0]


def eligible(live, now, *, facts=None, **standing):
    facts = facts or Facts({})
    return is_eligible(live, standing=Standing(person=1, **standing), facts=facts, now=now)


def test_a_live_campaign_is_for_everybody_without_a_segment(now):
    assert eligible(make_live(now), now)


def test_dates_bound_it(now):
    live = make_live(now, starts_at=now, ends_at=now + timedelta(hours=1))
    assert not eligible(live, now - timedelta(seconds=1))
    assert eligible(live, now)
    assert not eligible(live, now + timedelta(hours=1))


def test_the_segment_decides(now):
    rule = {"did": "Product Viewed", "at_least": 2, "within_days": 1}
    live = make_live(now, segment=make_segment(rule=rule))
    views = [EventFact("Product Viewed", now)] * 2
    assert eligible(live, now, facts=Facts({}, views))
    assert not eligible(live, now, facts=Facts({}, views[:1]))


def test_refusing_the_channel_or_the_topic_counts(now):
    live = make_live(now, topic="sales")
    assert eligible(live, now, opted_out=frozenset({"news"}))
    assert not eligible(live, now, opted_out=frozenset({"sales"}))
    assert not eligible(live, now, opted_out=frozenset({""}))


def test_impressions_of_the_day_and_of_all_days_are_limited(now):
    live = make_live(now, per_day=1, lifetime=2, time_zone="Europe/Berlin")
    pk = live.campaign.pk
    yesterday = now.replace(hour=22) - timedelta(days=1)  # 23:00 in Berlin
    assert eligible(live, now, impressions={pk: [yesterday]})
    assert not eligible(live, now, impressions={pk: [now - timedelta(hours=1)]})
    assert not eligible(live, now, impressions={pk: [yesterday, yesterday]})
    just_past = now.replace(hour=23, minute=30) - timedelta(days=1)  # 00:30 in Berlin: today
    assert not eligible(live, now, impressions={pk: [just_past]})


def test_the_control_group_sees_nothing(now):
    live = make_live(now, control_percent=100)
    assert not eligible(live, now)


def test_only_running_campaigns_of_the_app_are_live(now):
    for state in ("draft", "paused", "cancelled", "finished"):
        make_campaign(channel="in_app", schedule="launch", state=state)
    make_campaign(channel="email", state="active")
    over = make_campaign(
        channel="in_app", schedule="launch", state="active", ends_at=now - timedelta(days=1)
    )
    second = make_campaign(channel="in_app", schedule="launch", state="active", priority=10)
    first = make_campaign(channel="in_app", schedule="launch", state="active", priority=90)
    live = in_app.load(now=now)
    assert [one.campaign for one in live.campaigns] == [first, second]
    assert public_id(over.pk) in live.stale
    assert len(live.stale) == 4


def test_the_events_that_rules_ask_for_are_known_beforehand(now):
    make_live(now, segment=make_segment(rule={"did": "A", "within_days": 3}))
    make_live(now, segment=make_segment(rule={"not": {"did": "B", "within_days": 9}}))
    live = in_app.load(now=now)
    assert (live.event_names, live.since(now)) == (["A", "B"], now - timedelta(days=9))
    make_live(now, segment=make_segment(rule={"did_not": "C"}))
    assert in_app.load(now=now).since(now) is None


def test_a_broken_segment_shows_to_nobody(now):
    make_campaign(
        channel="in_app", schedule="launch", state="active", segment=make_segment(rule={"x": 1})
    )
    assert in_app.load(now=now).campaigns == []
