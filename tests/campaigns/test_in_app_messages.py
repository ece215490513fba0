"""What an app gets when it opens, as a function; the door itself is in test_app_launch.py."""

from datetime import datetime, time, timedelta

import pytest

from campaigns import in_app, in_app_messages
from campaigns.in_app_messages import Happened
from delivery import inapp
from delivery.models import Cap, Interaction, Preference, QuietHours
from engage.lib.clock import to_millis
from engage.lib.ids import uuid7
from engage.lib.prepared import Query
from engage.lib.redis import client
from engage.profiles import activity
from engage.profiles.activity import Touch
from engage.profiles.models import Consent, Identity, Profile
from recommendations.models import HandPicked
from tests.factories import (
    NOON,
    make_campaign,
    make_catalog,
    make_message,
    make_profile,
    make_segment,
    make_slot,
    make_template,
)

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis_keys")]


@pytest.fixture(autouse=True)
def shop():
    make_catalog(products=4)
    HandPicked.objects.create(catalog="default", item_ids=["p1", "p2", "p3", "p4"])


def make_live(*, slot=True, template=None, **fields):
    template = template or make_template(
        channel="in_app", title="Hello {{ profile.first_name | default: 'you' }}",
        body="For you", button="Look", link="https://shop.example/you",
    )  # fmt: skip
    if slot:
        make_slot(template=template, ladder=["hand_picked"], maximum=2)
    return make_campaign(
        channel="in_app", schedule="launch", state="active", template=template, **fields
    )


def ask(now, *, user="ana", anonymous="", events=(), seen=None):
    return in_app_messages.messages_for(
        user_id=user, anonymous_id=anonymous, events=events, seen=seen, now=now
    )


def track(name, *, message_id="", **properties):
    return Happened("track", name, NOON, properties, message_id=message_id)


def test_a_message_has_the_shape_that_apps_know(now):
    profile = make_profile(user_id="ana", first_name="Ana")
    campaign = make_live(priority=70, expires_after=timedelta(hours=1))
    [message] = ask(now)["messages"]
    token = message.pop("token")
    items = message["content"].pop("items")
    assert message == {
        "id": f"cmp{campaign.pk}",
        "variant": "a",
        "priority": 70,
        "expires_at": "2026-11-02T13:00:00Z",
        "content_type": "modal",
        "content": {
            "title": {"text": "Hello Ana"},
            "body": {"text": "For you"},
            "media": None,
            "buttons": [
                {
                    "id": "cta",
                    "text": "Look",
                    "action": {"type": "url", "url": "https://shop.example/you", "kv": {}},
                }
            ],
            "link": "https://shop.example/you",
        },
        "trigger": {"event": "App Launched", "where": []},
        "limits": {"per_session": 1, "per_day": 1, "lifetime": 3},
    }
    assert [(one["id"], one["rank"], one["price"]) for one in items] == [
        ("p1", 1, "1.00"),
        ("p2", 2, "2.00"),
    ]
    assert set(items[0]) >= {"id", "name", "price", "image_url", "url", "rank", "reason"}
    facts = inapp.read_token(token)
    assert (facts.profile_id, facts.campaign_id) == (profile.pk, campaign.pk)
    assert [tuple(item[:3]) for item in facts.items] == [
        ("p1", 1, "1.00"),
        ("p2", 2, "2.00"),
    ]


def test_what_was_left_to_chance_comes_back_with_the_token(now):
    template = make_template(channel="in_app")
    slot = make_slot(template=template, ladder=["hand_picked"], maximum=2, explore=50)
    make_live(template=template, slot=False)
    make_profile(user_id="ana")
    [message] = ask(now)["messages"]
    sure, drawn = inapp.read_token(message["token"]).items
    assert sure.more.keys() == {"slot", "rung", "source", "f", "p"}
    assert drawn.more.keys() == {"slot", "rung", "source", "f", "p", "arm", "arms"}
    assert (sure.more["p"], drawn.more["slot"]) == (1, slot.name)


def test_somebody_never_seen_gets_the_lower_rungs(now):
    make_live()
    for person in ({"user": "nobody"}, {"user": "", "anonymous": "phone-1"}):
        [message] = ask(now, **person)["messages"]
        assert message["content"]["title"] == {"text": "Hello you"}
        assert len(message["content"]["items"]) == 2


def test_the_events_of_this_request_count_for_the_segment(now):
    rule = {"did": "Product Viewed", "at_least": 2, "within_days": 1, "item": "p3"}
    make_live(segment=make_segment(rule=rule))
    view = track("Product Viewed", product_id="p3")
    assert ask(now, events=[view])["messages"] == []
    assert len(ask(now, events=[view, view])["messages"]) == 1


def test_a_slot_may_refer_to_the_launch_and_to_the_person(now):
    template = make_template(channel="in_app")
    most = {"column": "price", "op": "<=", "value": {"context": "event.budget"}}
    least = {"column": "price", "op": ">=", "value": {"context": "profile.least"}}
    make_slot(template=template, ladder=["hand_picked"], filter={"all": [most, least]})
    make_live(template=template, slot=False)
    make_profile(user_id="ana", least=2)
    [message] = ask(now, events=[track("App Launched", budget=3)])["messages"]
    assert [item["id"] for item in message["content"]["items"]] == ["p2", "p3"]
    [message] = ask(now)["messages"]
    assert message["content"]["items"] == []


def test_an_event_told_twice_counts_once(now):
    rule = {"did": "Product Viewed", "at_least": 2, "within_days": 1}
    make_live(segment=make_segment(rule=rule))
    view = track("Product Viewed", message_id="m1", product_id="p3")
    assert ask(now, events=[view, view])["messages"] == []


def test_traits_of_this_request_count(now):
    make_live(segment=make_segment(rule={"attribute": "plan", "op": "=", "value": "gold"}))
    assert ask(now)["messages"] == []
    told = Happened("identify", "identify", now, traits={"plan": "gold", "first_name": "Bo"})
    [message] = ask(now, events=[told])["messages"]
    assert message["content"]["title"] == {"text": "Hello Bo"}


def test_what_was_bought_a_moment_ago_is_not_shown(now):
    make_profile(user_id="ana")
    make_live()
    bought = Touch("p1", "Order Completed", to_millis(now), "m1")
    activity.note_pending(client(), user_id="ana", anonymous_id="", touches=[bought])
    [message] = ask(now)["messages"]
    assert [item["id"] for item in message["content"]["items"]] == ["p2", "p3"]


def test_what_was_bought_is_not_shown_after_fifty_newer_views(now):
    make_profile(user_id="ana")
    make_live()
    bought = Touch("p1", "Order Completed", to_millis(now) - 1_000, "m1")
    viewed = [Touch(f"v{n}", "Product Viewed", to_millis(now) + n, f"v{n}") for n in range(50)]
    activity.note_pending(client(), user_id="ana", anonymous_id="", touches=[bought, *viewed])
    [message] = ask(now)["messages"]
    assert [item["id"] for item in message["content"]["items"]] == ["p2", "p3"]


def test_a_hinted_event_counts_for_the_segment(now):
    rule = {"did": "Product Viewed", "within_days": 1, "item": "p3"}
    make_live(segment=make_segment(rule=rule))
    viewed = Touch("p3", "Product Viewed", to_millis(now), "m1")
    activity.note_pending(client(), user_id="ana", anonymous_id="", touches=[viewed])
    assert len(ask(now)["messages"]) == 1


def impression(profile, campaign, at: datetime):
    Interaction.objects.create(
        profile_id=profile.pk, id=uuid7(), key=uuid7(), message_id=uuid7(),
        campaign_id=campaign.pk, run_id=None, variant_id=1, channel="in_app",
        kind="impression", ts=at,
    )  # fmt: skip


def test_impressions_limit_a_day_and_a_lifetime(now):
    profile, campaign = make_profile(user_id="ana"), make_live(per_day=1, lifetime=2)
    impression(profile, campaign, now - timedelta(days=1))
    assert len(ask(now)["messages"]) == 1
    impression(profile, campaign, now - timedelta(days=2))
    assert ask(now)["messages"] == []


def test_an_impression_told_in_this_request_counts_at_once(now):
    make_profile(user_id="ana")
    make_live()
    [message] = ask(now)["messages"]
    seen = track("Notification Viewed", token=message["token"])
    assert ask(now, events=[seen])["messages"] == []
    assert len(ask(now, events=[track("Notification Viewed", token="made up")])["messages"]) == 1


def test_who_opted_out_gets_nothing(now):
    profile = make_profile(user_id="ana")
    make_live()
    assert len(ask(now)["messages"]) == 1
    Consent.objects.create(profile=profile, channel="in_app", status="opted_out", stated_ms=0)
    assert ask(now)["messages"] == []


def test_opting_out_in_this_request_counts_at_once(now):
    make_live(topic="sales")
    stop = track("Consent Changed", channel="in_app", status="opted_out", topic="sales")
    assert ask(now, events=[stop])["messages"] == []
    other = track("Consent Changed", channel="email", status="opted_out")
    assert len(ask(now, events=[other])["messages"]) == 1


def test_another_persons_device_lends_nothing(now):
    make_profile(user_id="bo", anonymous_id="tablet")
    Identity.objects.filter(value="tablet").update(claimed_by="bo", claimed_ms=1)
    make_profile(user_id="ana")
    make_live()
    bought = Touch("p1", "Order Completed", to_millis(now), "m1")
    activity.note_pending(client(), user_id="", anonymous_id="tablet", touches=[bought])
    [message] = ask(now, user="ana", anonymous="tablet")["messages"]
    assert message["content"]["items"][0]["id"] == "p1"


def test_messages_come_by_priority_and_ended_ones_are_stale(now):
    low, high = make_live(priority=1), make_live(priority=9)
    ended = make_live()
    ended.state = "cancelled"
    ended.save()
    answer = ask(now)
    assert [one["id"] for one in answer["messages"]] == [f"cmp{high.pk}", f"cmp{low.pk}"]
    assert answer["stale"] == [f"cmp{ended.pk}"]
    held = ask(now, seen=[f"cmp{low.pk}", f"cmp{ended.pk}", "cmp999"])
    assert held["stale"] == [f"cmp{ended.pk}", "cmp999"]


def test_a_template_that_breaks_leaves_the_others(now):
    broken = make_template(channel="in_app", title="{{ 1 | divided_by: 0 }}")
    make_live(template=broken, slot=False, priority=99)
    fine = make_live()
    assert [one["id"] for one in ask(now)["messages"]] == [f"cmp{fine.pk}"]


def test_without_campaigns_nothing_is_looked_up(now, django_assert_num_queries):
    in_app.cache.get()
    with django_assert_num_queries(0):
        assert ask(now) == {"messages": [], "stale": []}


def test_a_launch_asks_the_database_once(now, django_assert_num_queries, monkeypatch):
    make_profile(user_id="ana")
    make_live()
    ask(now)
    asked = []
    fetch_one = Query.fetch_one
    monkeypatch.setattr(Query, "fetch_one", lambda *all: asked.append(1) or fetch_one(*all))
    with django_assert_num_queries(0):  # but for the planned one, which passes Django by
        assert len(ask(now)["messages"]) == 1
    assert asked == [1]


# --- frequency caps and wishes ------------------------------------------------------------------


def show(profile, campaign, *, at):
    """As the app reports it."""
    return make_message(
        profile=profile, campaign_id=campaign.pk, run_id=None, channel="in_app", kind="in_app",
        state="accepted", marked_at=at, finished_at=at,
    )  # fmt: skip


def test_a_cap_counts_what_the_app_showed_and_what_other_channels_sent(now):
    Cap.objects.create(name="two a day", most=2)
    campaign, profile = make_live(), make_profile(user_id="ana")
    assert len(ask(now)["messages"]) == 1
    make_message(profile=profile, run_id=7, state="accepted", marked_at=now - timedelta(hours=3))
    assert len(ask(now)["messages"]) == 1
    show(profile, campaign, at=now - timedelta(hours=2))
    assert ask(now)["messages"] == []
    assert len(ask(now + timedelta(hours=23))["messages"]) == 1


def test_one_answer_holds_no_more_than_a_cap_leaves_the_first_by_priority(now):
    Cap.objects.create(name="two a day", most=2, channel="in_app")
    for priority in (10, 90, 50):
        make_live(name=f"priority {priority}", priority=priority)
    make_profile(user_id="ana")
    assert [one["priority"] for one in ask(now)["messages"]] == [90, 50]


def test_a_cap_of_another_channel_is_no_matter(now):
    Cap.objects.create(name="no pushes", most=1, channel="push")
    make_live()
    profile = make_profile(user_id="ana")
    make_message(profile=profile, channel="push", state="accepted", marked_at=now)
    assert len(ask(now)["messages"]) == 1


def test_a_persons_pause_and_weekly_maximum_hold_in_the_app_too(now):
    make_live()
    profile = make_profile(user_id="ana")
    wishes = Preference.objects.create(
        profile_id=profile.pk, paused_until=now + timedelta(hours=1), stated_at=now
    )
    assert ask(now)["messages"] == []
    assert len(ask(now + timedelta(hours=1))["messages"]) == 1
    wishes.paused_until, wishes.most_a_week = None, 1
    wishes.save()
    make_message(profile=profile, state="accepted", marked_at=now)
    assert ask(now)["messages"] == []


def test_who_has_the_app_open_is_awake_so_no_quiet_hours_hold_and_no_rival_is_waited_for(now):
    Cap.objects.create(name="one a day", most=1)
    QuietHours.objects.create(begin=time(0), end=time(23, 59))
    make_live(priority=10)
    profile = make_profile(user_id="ana", opted_in=("email",))
    Preference.objects.create(
        profile_id=profile.pk, quiet_begin=time(0), quiet_end=time(23, 59), stated_at=now
    )
    make_message(profile=profile, run_id=7, priority=90, not_before=now)
    assert len(ask(now)["messages"]) == 1


def test_of_people_who_are_one_the_newest_wish_holds_in_the_app_too(now):
    make_live()
    profile, merged = make_profile(user_id="ana"), make_profile()
    pause = now + timedelta(hours=1)
    Preference.objects.create(profile_id=merged.pk, paused_until=pause, stated_at=now)
    assert len(ask(now)["messages"]) == 1
    Profile.objects.filter(pk=merged.pk).update(merged_into=profile.pk)
    assert ask(now)["messages"] == []
    Preference.objects.create(profile_id=profile.pk, stated_at=now + timedelta(minutes=1))
    assert len(ask(now)["messages"]) == 1
