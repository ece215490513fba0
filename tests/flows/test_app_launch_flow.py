"""An app opens: by HTTP, through the learned model, to the figures of what was on the screen."""

import json
import uuid

import pytest

from delivery import reports, tracking
from engage.collector import access, ingest
from engage.lib import clock
from tests.factories import make_campaign, make_slot, make_template
from tests.flows.test_campaign_flow import (
    PRODUCTS,
    ingest_all,
    now,  # noqa: F401 a fixture
    shop,  # noqa: F401 a fixture
)

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis_keys")]


@pytest.fixture
def key(shop):  # noqa: F811
    return access.create_key("app", kind="write")


@pytest.fixture
def campaign(shop):  # noqa: F811
    template = make_template(channel="in_app", title="Hello {{ profile.first_name }}", button="Go")
    make_slot(template=template, maximum=3)
    return make_campaign(
        channel="in_app", schedule="launch", state="active", template=template, per_day=1
    )


def post(client, key, path, body):
    answer = client.post(
        path, json.dumps(body), content_type="text/plain", HTTP_AUTHORIZATION=f"Bearer {key}"
    )
    assert answer.status_code == 200, answer.content
    return answer.json()


def viewed(item, **fields):
    event = {"type": "track", "event": "Product Viewed", "properties": {"product_id": item}}
    return event | {"messageId": uuid.uuid4().hex} | fields


def test_the_slot_knows_what_was_viewed_in_this_very_request(client, key, campaign):
    person = {"userId": "somebody new"}
    answer = post(client, key, "/v1/app-launch", person | {"batch": [viewed("p5")]})
    assert answer["accepted"] == 2
    [message] = answer["messages"]
    items = message["content"]["items"]
    assert len(items) == 3
    assert "Product p5" in items[0]["reason"]
    assert "p5" not in {item["id"] for item in items}


def test_somebody_known_is_greeted_and_not_offered_what_they_bought(client, key, campaign):
    [message] = post(client, key, "/v1/app-launch", {"userId": "u4"})["messages"]
    assert message["content"]["title"] == {"text": "Hello N4"}
    assert f"p{1 + 4 % PRODUCTS}" not in {item["id"] for item in message["content"]["items"]}


def test_what_was_on_the_screen_counts_once_for_message_and_products(client, key, campaign):
    [message] = post(client, key, "/v1/app-launch", {"userId": "u4"})["messages"]
    item = message["content"]["items"][0]["id"]
    told = [
        {"type": "track", "event": "Notification Viewed", "userId": "u4", "messageId": "v1",
         "properties": {"token": message["token"]}},
        {"type": "track", "event": "Notification Clicked", "userId": "u4", "messageId": "c1",
         "properties": {"token": message["token"], "item_id": item, "position": 1}},
    ]  # fmt: skip
    for _ in range(2):
        post(client, key, "/v1/batch", {"batch": told})
        ingest_all()
        tracking.consume_notices(clock.now())
    figures = reports.campaign_figures(campaign.pk)
    assert (figures["impressions"], figures["clicks"]) == (1, 1)


def test_after_an_impression_the_day_is_used_up(client, key, campaign):
    [message] = post(client, key, "/v1/app-launch", {"userId": "u4"})["messages"]
    seen = {"type": "track", "event": "Notification Viewed", "userId": "u4",
            "properties": {"token": message["token"]}}  # fmt: skip
    again = post(client, key, "/v1/app-launch", {"userId": "u4", "batch": [seen]})
    assert again["messages"] == []
    ingest_all()
    tracking.consume_notices(clock.now())
    assert post(client, key, "/v1/app-launch", {"userId": "u4"})["messages"] == []


def test_the_launch_is_an_event_of_the_person(client, key, campaign):
    post(client, key, "/v1/app-launch", {"userId": "u4", "device": {"id": "d4"}})
    assert ingest.ingest_once("test") == 1
