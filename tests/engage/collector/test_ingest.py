"""From the stream into the tables: exactly once, whatever dies, and nobody's neighbour suffers."""

import json
import threading
from datetime import timedelta

import psycopg2
import pytest
from django.db import OperationalError

from engage.collector import accept, ingest, quarantine, storing, stream
from engage.collector.access import Access
from engage.collector.models import Quarantined
from engage.lib import redis
from engage.profiles import activity, erasure, store
from engage.profiles.errors import PoisonEvent
from engage.profiles.models import Event
from tests.factories import make_profile

pytestmark = pytest.mark.django_db(transaction=True)
WHO = Access(1, "write")


def event(number: int, **fields):
    return {"type": "track", "event": "Viewed", "userId": "u1", "messageId": f"m{number}"} | fields


def take(now, *events):
    body = json.dumps({"batch": list(events)}).encode()
    return accept.accept_batch(body, WHO, now=now)


def stored_ids():
    return sorted(Event.objects.values_list("message_id", flat=True))


def depth():
    return stream.health()["depth"]


def work_of(consumer):
    return list(storing.parse_entries(stream.read_new(consumer, count=100)))


def unfinished(consumer):
    return stream.take_over(consumer, own_idle_ms=lambda deliveries: 0, idle_ms=0)


@pytest.fixture
def poison(monkeypatch):
    """The store refuses batches with an event of this name."""
    real = store.store_events

    def refuse(batch, *, now):
        if any(each.name == "Poison" for each in batch):
            raise PoisonEvent("poison")
        return real(batch, now=now)

    monkeypatch.setattr(store, "store_events", refuse)


def test_accepted_events_are_stored_and_leave_the_stream(now):
    take(now, event(1), event(2))
    take(now, event(3))
    assert depth() == 2
    assert ingest.ingest_once() == 3
    assert stored_ids() == ["m1", "m2", "m3"]
    assert depth() == 0


def test_event_sent_twice_counts_as_accepted_and_is_stored_once(now):
    assert take(now, event(1), event(1)).accepted == 2
    assert take(now + timedelta(hours=1), event(1)).accepted == 1
    ingest.ingest_once()
    assert stored_ids() == ["m1"]


def test_consumer_killed_before_the_store_loses_nothing(now):
    stream.make_group()
    take(now, event(1), event(2))
    work_of("first")  # and dies here
    for work in storing.parse_entries(unfinished("second")):
        storing.store_works([work])
    assert stored_ids() == ["m1", "m2"]
    assert depth() == 0


def test_consumer_killed_between_commit_and_acknowledgement_stores_nothing_twice(now, monkeypatch):
    stream.make_group()
    take(now, event(1), event(2))
    take(now, {k: v for k, v in event(3).items() if k != "messageId"})
    with monkeypatch.context() as killed:
        killed.setattr(stream, "remove", lambda entries: None)
        storing.store_works(work_of("first"))
    assert (Event.objects.count(), depth()) == (3, 2)
    for work in storing.parse_entries(unfinished("second")):
        storing.store_works([work])
    assert (Event.objects.count(), depth()) == (3, 0)


def test_restarted_consumer_finishes_what_it_began(now):
    stream.make_group()
    take(now, event(1))
    work_of("once")
    assert ingest.ingest_once("once") == 1
    assert (stored_ids(), depth()) == (["m1"], 0)


def test_entries_of_a_living_consumer_are_left_to_it(now):
    stream.make_group()
    take(now, event(1))
    work_of("first")
    assert list(stream.take_over("second", own_idle_ms=lambda n: 0, idle_ms=60_000)) == []


def test_holding_entries_counts_as_no_attempt(now):
    stream.make_group()
    take(now, event(1))
    [work] = work_of("first")
    stream.hold("first", [work.entry])
    [pending] = stream.list_pending()
    assert pending["times_delivered"] == 1


def test_bad_event_spoils_nothing_but_itself(now, poison):
    take(now, event(1), event(2, event="Poison"), event(3))
    take(now, event(4))
    assert ingest.ingest_once() == 3
    assert stored_ids() == ["m1", "m3", "m4"]
    assert depth() == 1  # its entry waits to be tried again


def test_event_that_fails_five_times_goes_to_quarantine_alone(now, poison):
    take(now, event(1), event(2, event="Poison", properties={"size": 40}))
    for _ in range(storing.MAX_ATTEMPTS):
        assert Quarantined.objects.count() == 0
        ingest.ingest_once()
    [row] = Quarantined.objects.all()
    assert row.error == "PoisonEvent: poison"
    assert (row.source_id, row.received_at, row.form) == (1, now, "segment/batch")
    assert [each["messageId"] for each in json.loads(bytes(row.body))["batch"]] == ["m2"]
    assert (stored_ids(), depth()) == (["m1"], 0)


def test_replayed_event_is_stored_as_old_as_it_was(now, monkeypatch):
    with monkeypatch.context() as refusing:
        refusing.setattr(store, "store_events", lambda batch, *, now: 1 / 0)
        take(now, event(1, timestamp="2026-11-01T10:00:00Z", properties={"size": 40}))
        for _ in range(storing.MAX_ATTEMPTS):
            ingest.ingest_once()
    row = Quarantined.objects.get()
    quarantine.replay(row, now=now)
    quarantine.replay(row, now=now)
    ingest.ingest_once()
    [stored] = Event.objects.all()
    assert f"{stored.ts:%Y-%m-%d %H:%M}" == "2026-11-01 10:00"
    assert (stored.message_id, stored.properties) == ("m1", {"size": 40})
    assert row.replayed_at == now


def test_entry_that_kills_its_consumer_five_times_is_kept_apart(now):
    stream.make_group()
    take(now, event(1))
    take(now, event(2))
    guilty = stream.read_new("first", count=1)[0]
    for _ in range(storing.MAX_ATTEMPTS):
        [again] = unfinished("first")
    assert (again.id, again.deliveries) == (guilty.id, 6)
    assert list(storing.parse_entries([again])) == []
    row = Quarantined.objects.get()
    assert (row.entry_id, bytes(row.body), depth()) == (guilty.id, guilty.body, 1)
    ingest.ingest_once()
    assert stored_ids() == ["m2"]


def gone(batch, *, now):
    raise OperationalError("gone") from psycopg2.OperationalError("server closed the connection")


def test_absent_database_costs_no_entry_and_no_attempt(now, monkeypatch):
    take(now, event(1))
    with monkeypatch.context() as away:
        away.setattr(store, "store_events", gone)
        with pytest.raises(storing.DatabaseAway):
            ingest.ingest_once()
    assert (depth(), Quarantined.objects.count()) == (1, 0)
    ingest.ingest_once()
    assert (stored_ids(), depth()) == (["m1"], 0)


def test_consumer_waits_for_the_database_and_goes_on(now, monkeypatch):
    take(now, event(1))
    consumer = ingest.Consumer("one")
    real, calls = store.store_events, []

    def come_back(batch, *, now):
        calls.append(len(batch))
        if len(calls) < 4:
            gone(batch, now=now)
        return real(batch, now=now)

    waits = []
    monkeypatch.setattr(store, "store_events", come_back)
    monkeypatch.setattr(consumer.stop, "wait", waits.append)
    stream.make_group()
    assert ingest.finish(work_of("one"), consumer) == 1
    assert waits == [0.25, 0.5, 1.0]
    assert (stored_ids(), depth()) == (["m1"], 0)


def test_stop_while_the_database_is_away_leaves_the_entries(now, monkeypatch):
    take(now, event(1))
    consumer = ingest.Consumer("one")
    consumer.stop.set()
    monkeypatch.setattr(store, "store_events", gone)
    stream.make_group()
    assert ingest.finish(work_of("one"), consumer) == 0
    assert depth() == 1


@pytest.mark.parametrize(
    ("code", "away"),
    [("57P01", True), ("53100", True), ("25006", True), ("22P05", False), ("40P01", False)],
)
def test_full_or_stopping_server_is_away_and_a_data_error_is_not(code, away):
    class Said(psycopg2.OperationalError):
        pgcode = code

    assert storing.is_away(Said()) is away


def test_entries_before_the_first_consumer_are_not_left_out(now):
    take(now, event(1))
    assert len(stream.read_new("one", count=10)) == 1


def test_several_entries_share_a_transaction_up_to_the_bound(now, settings, monkeypatch):
    settings.INGEST_MAX_EVENTS = 4
    sizes, real = [], store.store_events

    def spy(batch, *, now):
        sizes.append(len(batch))
        return real(batch, now=now)

    monkeypatch.setattr(store, "store_events", spy)
    for first in (10, 20, 30):
        take(now, event(first), event(first + 1))
    ingest.ingest_once()
    assert sizes == [4, 2]


def test_run_ends_when_it_is_told_to(now):
    take(now, event(1))
    stop = threading.Event()
    thread = threading.Thread(target=ingest.run, args=("one", stop))
    thread.start()
    for _ in range(100):
        if depth() == 0:
            break
        stop.wait(0.05)
    stop.set()
    thread.join(timeout=5)
    assert not thread.is_alive()
    assert stored_ids() == ["m1"]


def test_health_tells_the_age_of_the_oldest_entry(now):
    assert stream.health() == {"oldest_seconds": 0.0, "depth": 0}
    take(now, event(1))
    health = stream.health()
    assert health["depth"] == 1
    assert 0 <= health["oldest_seconds"] < 5


def test_touches_are_known_before_the_answer(now):
    take(now, event(1, event="Product Viewed", properties={"product_id": "p1"}))
    take(now, event(2, event="Product Viewed", properties={"products": [{"sku": 7}, {"sku": 8}]}))
    assert [touch.item for touch in activity.pending(user_id="u1")] == ["8", "7", "p1"]
    assert redis.client().ttl(redis.key("recent", "u", "u1")) > 0


def test_erased_person_leaves_the_quarantine_too(now):
    ann = make_profile(user_id="ann")
    for number, user in enumerate(("ann", "bob", 7)):
        body = json.dumps({"batch": [event(number, userId=user)]}).encode()
        entry = stream.Entry(f"{number}-0", 1, 0, "segment/batch", body)
        quarantine.keep_entry(entry, error="x")
    erasure.erase(ann.pk, now=now)
    assert list(Quarantined.objects.order_by("id").values_list("entry_id", flat=True)) == [
        "1-0",
        "2-0",
    ]


def test_of_a_long_queue_the_newest_touches_and_every_purchase_are_hinted(now):
    bought = event(0, event="Order Completed", properties={"products": [{"sku": "bought"}]})
    views = [
        event(n, event="Product Viewed", properties={"product_id": f"p{n}"}) for n in range(1, 61)
    ]
    take(now, bought, *views)
    items = [touch.item for touch in activity.pending(user_id="u1")]
    assert items == [*(f"p{n}" for n in range(60, 40, -1)), "bought"]


def test_every_product_of_a_large_order_is_hinted_beside_what_was_viewed_since(now):
    products = [{"sku": f"b{n}"} for n in range(80)]
    order = event(0, event="Order Completed", properties={"products": products})
    views = [
        event(n, event="Product Viewed", properties={"product_id": f"p{n}"}) for n in range(1, 61)
    ]
    take(now, order, *views)
    items = {touch.item for touch in activity.pending(user_id="u1")}
    assert {f"b{n}" for n in range(80)} <= items
