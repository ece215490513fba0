"""An inbox campaign: planned, put in, fetched by the app, seen, clicked and dismissed, counted."""

import urllib.request
from datetime import timedelta

import msgspec
import pytest

from campaigns import fanout, lifecycle, runs, sending, stats
from campaigns.test_send import send_test
from delivery import outbox, reaping, tracking
from delivery.models import Cap, InboxMessage, Message, QuietHours
from delivery.tasks import clean_up
from engage.lib import clock
from engage.profiles import erasure, identity, people
from tests.engage.collector.served import served
from tests.factories import make_campaign, make_slot, make_template
from tests.flows.test_app_launch_flow import key, post  # noqa: F401 a fixture
from tests.flows.test_campaign_flow import (
    PEOPLE,
    PRODUCTS,
    check_sum,
    ingest_all,
    now,  # noqa: F401 a fixture
    run_through,
    shop,  # noqa: F401 a fixture
)

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis_keys")]


def make_inbox_campaign(**fields):
    template = make_template(
        channel="inbox", title="For {{ profile.first_name }}", body="Look", button="Go",
        content_type="card",
    )  # fmt: skip
    make_slot(template=template, maximum=3)
    return make_campaign(channel="inbox", template=template, **fields)


def look(client, key, user_id, **query):  # noqa: F811
    answer = client.get(
        "/v1/inbox", {"userId": user_id, **query}, headers={"authorization": f"Bearer {key}"}
    )
    assert answer.status_code == 200, answer.content
    return answer.json()


def tell(client, key, user_id, name, message, **properties):  # noqa: F811
    """As the SDK says it, through the real collector, until it is counted."""
    event = {
        "type": "track", "event": f"Notification {name}", "userId": user_id,
        "properties": {"token": message["token"], **properties},
    }  # fmt: skip
    post(client, key, "/v1/batch", {"batch": [event]})
    ingest_all()
    tracking.consume_notices(clock.now())


def reasons():
    return dict(Message.objects.exclude(reason="").values_list("profile_id", "reason"))


def test_a_campaign_goes_to_the_inbox_and_comes_back_as_figures(client, shop, key, now):  # noqa: F811
    opt_out = {"type": "track", "event": "Consent Changed", "userId": "u1",
               "properties": {"channel": "inbox", "status": "opted_out"}}  # fmt: skip
    post(client, key, "/v1/batch", {"batch": [opt_out]})
    ingest_all()
    campaign = make_inbox_campaign(control_percent=20)
    run = run_through(campaign, now)
    assert (run.state, run.audience) == ("finished", PEOPLE)
    accepted = check_sum(run)["accepted"]
    assert accepted == InboxMessage.objects.count() == run.planned - len(reasons())
    assert set(reasons().values()) <= {"no_consent"}
    assert look(client, key, "u1")["messages"] == []

    owner = InboxMessage.objects.order_by("profile_id").values_list("profile_id", flat=True)[0]
    user = people.get_person(owner)["profile"]["id"]
    number = int(user[1:])
    found = look(client, key, user)
    [message] = found["messages"]
    assert (found["unread"], message["campaign"]) == (1, f"cmp{campaign.pk}")
    assert (message["content_type"], message["content"]["title"]) == (
        "card", {"text": f"For N{number}"},
    )  # fmt: skip
    items = message["content"]["items"]
    assert len(items) == 3
    assert f"p{1 + number % PRODUCTS}" not in {item["id"] for item in items}  # bought

    for _ in range(2):  # an SDK that repeats itself
        tell(client, key, user, "Viewed", message)
    found = look(client, key, user)
    assert (found["unread"], found["messages"][0]["read"]) == (0, True)
    assert found["messages"][0]["clicked"] is False
    tell(client, key, user, "Clicked", message, item_id=items[1]["id"])
    assert look(client, key, user)["messages"][0]["clicked"] is True
    page = stats.run_page(run)
    assert (page["figures"]["impressions"], page["figures"]["clicks"]) == (1, 1)
    clicked = [line["item"] for line in page["products"] if line["clicked"]]
    assert clicked == [items[1]["id"]]
    tell(client, key, user, "Dismissed", message)
    assert look(client, key, user) == {"messages": [], "unread": 0, "next": None}
    assert stats.run_page(run)["figures"]["dismissals"] == 1
    assert Message.objects.filter(profile_id=owner).count() == 1  # the row was there already


def test_a_cap_and_quiet_hours_hold_an_inbox_like_any_channel(client, shop, key, now):  # noqa: F811
    Cap.objects.create(name="one a day", most=1, channel="inbox", period="hours")
    assert check_sum(run_through(make_inbox_campaign(), now))["accepted"] == PEOPLE
    assert check_sum(run_through(make_inbox_campaign(), now))["suppressed"] == PEOPLE
    assert set(reasons().values()) == {"capped"}
    assert len(look(client, key, "u4")["messages"]) == 1

    Cap.objects.all().delete()
    QuietHours.objects.create(
        channel="inbox",
        begin=(now - timedelta(hours=1)).time(),
        end=(now + timedelta(hours=1)).time(),
    )
    run = lifecycle.launch(make_inbox_campaign(), now=now)
    while fanout.plan_chunk(run.pk, now=now, limit=100):
        pass
    sending.send_chunk("inbox", now=now)
    assert outbox.count_states(run.pk)["planned"] == PEOPLE
    assert len(look(client, key, "u4")["messages"]) == 1


def test_a_worker_that_died_in_the_call_leaves_one_message(client, shop, key, now):  # noqa: F811
    """Its message is put in again, where it lies already."""
    run = lifecycle.launch(make_inbox_campaign(), now=now)
    while fanout.plan_chunk(run.pk, now=now, limit=100):
        pass
    sending.send_chunk("inbox", now=now)
    Message.objects.update(state="attempting", lease_until=now - timedelta(days=1))
    assert reaping.reap(now).unknown == PEOPLE
    assert outbox.count_states(run.pk)["planned"] == PEOPLE
    sending.send_chunk("inbox", now=now + timedelta(minutes=1))
    runs.finish_done(now)
    assert outbox.count_states(run.pk)["accepted"] == PEOPLE == InboxMessage.objects.count()
    assert look(client, key, "u4")["unread"] == 1


def test_a_test_send_lies_in_the_inbox(client, shop, key, now):  # noqa: F811
    campaign = make_inbox_campaign()
    send_test(campaign, identity.find_profile_id(user_id="u4"), now=now)
    sending.send_chunk("inbox", now=now)
    [message] = look(client, key, "u4")["messages"]
    assert message["content"]["title"] == {"text": "For N4"}
    assert look(client, key, "u5")["messages"] == []


def test_a_visitor_keeps_the_inbox_when_they_become_known(client, shop, key, now):  # noqa: F811
    seen = {"type": "track", "event": "Product Viewed", "anonymousId": "phone",
            "properties": {"product_id": "p2"}}  # fmt: skip
    post(client, key, "/v1/batch", {"batch": [seen]})
    ingest_all()
    run_through(make_inbox_campaign(), now)
    query = {"anonymousId": "phone"}
    answer = client.get("/v1/inbox", query, headers={"authorization": f"Bearer {key}"}).json()
    assert answer["unread"] == 1
    claim = {"type": "identify", "userId": "u4", "anonymousId": "phone", "traits": {}}
    post(client, key, "/v1/batch", {"batch": [claim]})
    ingest_all()
    found = look(client, key, "u4", anonymousId="phone")
    assert found["unread"] == 2
    assert answer["messages"][0]["id"] in {one["id"] for one in found["messages"]}
    for message in found["messages"]:
        tell(client, key, "u4", "Viewed", message)
    assert look(client, key, "u4")["unread"] == 0


def test_an_erased_person_leaves_nothing_and_the_export_has_it_before(client, shop, key, now):  # noqa: F811
    run_through(make_inbox_campaign(), now)
    person = identity.find_profile_id(user_id="u4")
    [kept] = people.get_person(person)["inbox"]
    assert kept["content"]["title"] == {"text": "For N4"}
    erasure.erase(person, now=now)
    assert not InboxMessage.objects.filter(profile_id=person).exists()
    assert InboxMessage.objects.count() == PEOPLE - 1
    assert look(client, key, "u4")["messages"] == []


def test_what_is_over_is_gone_at_once_and_deleted_in_the_night(client, shop, key, now):  # noqa: F811
    run_through(make_inbox_campaign(), now)
    InboxMessage.objects.update(expires_at=clock.now())
    assert look(client, key, "u4") == {"messages": [], "unread": 0, "next": None}
    assert InboxMessage.objects.count() == PEOPLE
    clean_up()
    assert InboxMessage.objects.count() == 0
    assert Message.objects.filter(state="accepted").count() == PEOPLE


@pytest.mark.slow
def test_an_app_fetches_it_from_the_real_server(shop, key, now):  # noqa: F811
    run_through(make_inbox_campaign(), now)
    with served() as address:
        asked = urllib.request.Request(
            f"{address}/v1/inbox?userId=u4&anonymousId=x",
            headers={"Authorization": f"Bearer {key}"},
        )
        with urllib.request.urlopen(asked, timeout=10) as answer:
            found = msgspec.json.decode(answer.read())
            assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert found["unread"] == 1
    assert found["messages"][0]["content"]["title"] == {"text": "For N4"}
