"""Clients from pip, unmodified, against a real port."""

import gzip
import http.client
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest
from rudderstack.analytics.client import Client as RudderClient
from segment.analytics.client import Client as SegmentClient

from engage.collector import ingest, stream
from engage.profiles.models import Event
from tests.engage.collector.served import served

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]


@pytest.fixture(scope="module")
def address(django_db_setup, django_db_blocker):
    with django_db_blocker.unblock(), served() as found:
        yield found


class Trouble:
    """What a client reports through its on_error."""

    def __init__(self):
        self.reported = []

    def __call__(self, error, batch):
        self.reported.append((error, len(batch)))


def use(client):
    """All calls that the two clients share."""
    client.identify("u1", {"email": "ann@shop.example", "first_name": "Ann"})
    client.track("u1", "Product Viewed", {"product_id": "p1", "price": 12.5})
    client.page("u1", "shop", "Home", {"url": "https://shop.example/"})
    client.screen("u1", "app", "Start")
    client.group("u1", "g1", {"plan": "gold"})
    client.alias("a1", "u1")
    client.track(user_id=7, event="Order Completed", properties={"products": [{"sku": 1}, None]})
    client.flush()


EXPECTED = ["Order Completed", "Product Viewed", "alias", "group", "identify", "page", "screen"]


@pytest.mark.parametrize("packed", [False, True])
def test_segment_client_delivers_everything_once(address, write_key, packed):
    trouble = Trouble()
    client = SegmentClient(write_key, host=address, on_error=trouble, gzip=packed, max_retries=0)
    use(client)
    client.join()
    assert trouble.reported == []
    assert ingest.ingest_once() == 7
    assert sorted(Event.objects.values_list("name", flat=True)) == EXPECTED


@pytest.mark.parametrize("packed", [False, True])
def test_rudder_client_delivers_everything_once(address, write_key, packed):
    trouble = Trouble()
    client = RudderClient(write_key, host=address, on_error=trouble, gzip=packed, max_retries=0)
    use(client)
    client.join()
    assert trouble.reported == []
    assert ingest.ingest_once() == 7
    assert sorted(Event.objects.values_list("name", flat=True)) == EXPECTED
    order = Event.objects.get(name="Order Completed")
    assert (order.user_id, order.properties) == ("7", {"products": [{"sku": 1}, None]})


@pytest.mark.parametrize("kind", [SegmentClient, RudderClient])
def test_clients_read_why_a_key_is_refused(address, db, kind):
    trouble = Trouble()
    client = kind("wk_wrong", host=address, on_error=trouble, max_retries=0)
    client.track("u1", "Viewed")
    client.flush()
    client.join()
    [(error, events)] = trouble.reported
    assert (error.status, error.code, events) == (401, "invalid_write_key", 1)
    assert Event.objects.count() == 0


def test_thousand_events_of_a_client_are_stored(address, write_key):
    trouble = Trouble()
    client = SegmentClient(write_key, host=address, on_error=trouble, max_retries=0)
    for number in range(1000):
        client.track(f"u{number % 50}", "Viewed", {"number": number, "name": "ü😀" * 20})
    client.flush()
    client.join()
    assert trouble.reported == []
    assert ingest.ingest_once() == 1000
    numbers = Event.objects.values_list("properties__number", flat=True)
    assert sorted(numbers) == list(range(1000))


def test_event_of_yesterday_is_filed_under_yesterday(address, write_key):
    client = SegmentClient(write_key, host=address, max_retries=0)
    client.track("u1", "Viewed", timestamp=datetime(2026, 10, 1, 8, 30, tzinfo=UTC))
    client.flush()
    client.join()
    ingest.ingest_once()
    assert abs(Event.objects.get().ts - datetime(2026, 10, 1, 8, 30, tzinfo=UTC)).seconds < 5


def send(address, body, headers, *, chunked=False):
    connection = http.client.HTTPConnection(address.removeprefix("http://"), timeout=10)
    try:
        data = iter([body]) if chunked else body
        connection.request("POST", "/v1/batch", data, headers, encode_chunked=chunked)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


def test_body_without_a_length_is_read(address, write_key):
    event = {"type": "track", "event": "E", "userId": "u"}
    body = gzip.compress(json.dumps({"writeKey": write_key, "batch": [event]}).encode())
    headers = {"Content-Encoding": "gzip", "Transfer-Encoding": "chunked"}
    assert send(address, body, headers, chunked=True)[0] == 200


def test_bomb_is_refused_on_the_wire(address, write_key):
    status, said = send(address, gzip.compress(b"0" * 10_000_000), {"Content-Encoding": "gzip"})
    assert (status, said["code"]) == (413, "body_too_large")
    status, said = send(address, b"0" * 2_000_000, {})
    assert (status, said["code"]) == (413, "body_too_large")


def test_many_clients_at_once_lose_nothing(address, write_key):
    started = threading.Barrier(8)

    def work(worker):
        started.wait()
        for number in range(20):
            event = {
                "type": "track",
                "event": "E",
                "userId": "u",
                "messageId": f"{worker}-{number}",
            }
            body = json.dumps({"writeKey": write_key, "batch": [event, event]}).encode()
            status, said = send(address, body, {})
            assert (status, said["accepted"]) == (200, 2)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    assert stream.health()["depth"] == 160
    ingest.ingest_once()
    assert Event.objects.count() == 160
