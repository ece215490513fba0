import json

import pytest

from delivery import erasure, interactions, reports
from delivery.interactions import Deed, Kind
from delivery.models import Interaction, Message, SendAttempt
from engage.profiles.models import Profile
from tests.factories import NOON, make_message, make_profile

pytestmark = pytest.mark.django_db


def sent(**fields: object) -> Message:
    return make_message(profile=make_profile(), **({"run_id": 4, "state": "accepted"} | fields))


def do(message: Message, kind: Kind, *, item: str = "", machine: bool = False) -> None:
    about = interactions.about(message)
    interactions.add([Deed(about, kind, NOON, item, 1 if item else None, machine=machine)])


def test_a_run_counts_messages_by_state_reason_and_deed():
    first, second = sent(), sent()
    sent(state="suppressed", reason="no_consent")
    sent(state="suppressed", reason="no_consent")
    sent(state="planned")
    sent(run_id=5)
    for _ in range(2):
        do(first, Kind.CLICK, item="p1")
    do(first, Kind.CLICK, item="p2")
    do(first, Kind.OPEN)
    do(second, Kind.OPEN, machine=True)
    do(second, Kind.CLICK, machine=True)
    figures = reports.run_figures(4)
    assert (figures["planned"], figures["open"]) == (5, 1)
    assert figures["states"] | {"accepted": 2, "suppressed": 2, "planned": 1} == figures["states"]
    assert sum(figures["states"].values()) == figures["planned"]
    assert figures["reasons"] == {"no_consent": 2}
    assert (figures["opens"], figures["clicks"], figures["unsubscribes"]) == (1, 1, 0)
    assert figures["machine"] == {"opens": 1, "clicks": 1}


def test_top_products_are_those_clicked_then_seen_in_most_messages():
    first, second = sent(), sent()
    for message in (first, second):
        do(message, Kind.IMPRESSION, item="p1")
        do(message, Kind.IMPRESSION, item="p2")
    do(first, Kind.IMPRESSION, item="p3")
    do(first, Kind.CLICK, item="p2")
    do(first, Kind.CLICK, item="p3", machine=True)
    assert reports.top_products(4) == [
        {"item": "p2", "shown": 2, "clicked": 1},
        {"item": "p1", "shown": 2, "clicked": 0},
        {"item": "p3", "shown": 1, "clicked": 0},
    ]
    assert len(reports.top_products(4, limit=1)) == 1


def test_slots_that_found_too_few_are_counted():
    def too_few(slot, did):
        return {"slot": slot, "short": did, "found": 0, "needed": 2}

    sent(items=[{"slot": "picks", "item": "p1"}])
    for _ in range(2):
        sent(items=[{"slot": "picks", "item": "p1"}, too_few("more", "drop_block")])
    sent(state="suppressed", items=[too_few("picks", "drop_message")])
    sent(run_id=5, items=[too_few("picks", "drop_message")])
    assert reports.short_slots(4) == [
        {"slot": "more", "short": "drop_block", "needed": 2, "messages": 2},
        {"slot": "picks", "short": "drop_message", "needed": 2, "messages": 1},
    ]


def test_a_persons_messages_are_ready_for_json_and_follow_a_merge():
    message = sent(items=[{"item": "p1", "rank": 1}], finished_at=NOON)
    do(message, Kind.CLICK, item="p1")
    winner = make_profile()
    Profile.objects.filter(pk=message.profile_id).update(merged_into=winner.pk)
    [listed] = json.loads(json.dumps(reports.messages_of(winner.pk)))
    assert (listed["id"], listed["state"], listed["items"]) == (
        str(message.id), "accepted", [{"item": "p1", "rank": 1}],
    )  # fmt: skip
    assert [(d["kind"], d["item"], d["position"]) for d in listed["interactions"]] == [
        ("click", "p1", 1)
    ]
    assert reports.messages_of(winner.pk + 1_000) == []


def test_erasing_forgets_the_deeds_and_keeps_the_sum_of_the_run():
    message = sent(items=[{"item": "p1"}], provider_id="x", address_id="d1")
    still_open = sent(state="planned")
    do(message, Kind.CLICK, item="p1")
    for one in (message, still_open):
        erasure.erase(one.profile_id)
        erasure.erase(one.profile_id)
    assert (Interaction.objects.count(), SendAttempt.objects.count()) == (0, 0)
    row = Message.objects.get(id=message.id)
    assert (row.state, row.items, row.provider_id, row.address_id) == ("accepted", [], "", "")
    assert reports.run_figures(4)["reasons"] == {"erased": 1}
    assert reports.run_figures(4)["planned"] == 2


def test_products_seen_and_clicked_are_counted_without_machines_and_whole_messages(monkeypatch):
    message = sent()
    for item in ("p1", "p2", "p3"):
        do(message, Kind.IMPRESSION, item=item)
    do(message, Kind.IMPRESSION)
    do(message, Kind.CLICK, item="p1")
    do(message, Kind.CLICK, item="p2", machine=True)
    assert reports.count_shown() == (3, 1)
    monkeypatch.setattr(reports, "MOST_LOOKED_AT", 2)
    assert sum(reports.count_shown()) <= 2
