"""For every person of an audience exactly one decision, with its reason."""

import pytest

from campaigns import decisions, fanout
from delivery import outbox
from delivery.models import Message
from engage.profiles.models import Device
from tests.factories import make_campaign, make_message, make_profile, make_run

pytestmark = pytest.mark.django_db


@pytest.fixture
def run(now):
    campaign = make_campaign(channel="push", control_percent=30)
    people = [make_profile(push_token=f"t{n}") for n in range(20)]
    for person in people[:10]:
        Device.objects.create(profile=person, device_id="tablet", token=f"x{person.pk}",
                              last_seen=now)  # fmt: skip
    run = make_run(campaign=campaign, at=now)
    while fanout.plan_chunk(run.pk, now=now, limit=6):
        pass
    run.refresh_from_db()
    return run


def test_decisions_and_people_are_as_many_at_every_moment(run, now):
    assert sum(one.people for one in decisions.count_decisions(run.pk)) == run.audience == 20
    outbox.cancel_run(run.pk, now)
    assert sum(one.people for one in decisions.count_decisions(run.pk)) == 20
    found = decisions.list_decisions(run.pk)
    assert len({one.profile_id for one in found}) == len(found) == 20


def test_who_was_held_out_is_told_apart(run):
    held = decisions.list_decisions(run.pk, decision="held_out")
    assert len(held) == run.held_out > 0
    assert not Message.objects.filter(profile_id__in=[one.profile_id for one in held]).exists()


def test_of_two_devices_the_one_that_came_furthest_decides(run):
    person = next(message.profile_id for message in Message.objects.filter(address_id="tablet"))
    Message.objects.filter(profile_id=person).update(state="failed")
    Message.objects.filter(profile_id=person, address_id="tablet").update(state="accepted")
    [found] = decisions.list_decisions(run.pk, people=[person])
    assert found.decision == "accepted"


def test_people_are_found_by_reason_page_by_page(run):
    Message.objects.update(state="suppressed", reason="no_consent")
    one = Message.objects.first()
    Message.objects.filter(profile_id=one.profile_id).update(reason="capped")
    [capped] = decisions.list_decisions(run.pk, reason="capped")
    assert capped.profile_id == one.profile_id
    pages, after = [], 0
    while page := decisions.list_decisions(run.pk, reason="no_consent", after=after, limit=4):
        pages += [found.profile_id for found in page]
        after = page[-1].profile_id
    counted = {(c.decision, c.reason): c.people for c in decisions.count_decisions(run.pk)}
    assert counted["suppressed", "no_consent"] == len(pages) == len(set(pages))


def test_each_message_of_a_person_is_listed_page_by_page(now):
    run, person, other = make_run(at=now), make_profile(), make_profile()
    planned = [make_message(profile=one, run_id=run.pk) for one in (person, other, person, person)]
    second = sorted(one.id for one in planned if one.profile_id == person.pk)[1]
    Message.objects.filter(id=second).update(state="accepted")
    pages: list = []
    place: dict = {}
    while page := decisions.list_decisions(run.pk, each=True, limit=1, **place):
        pages += page
        place = {"after": page[-1].profile_id, "after_message": page[-1].message_id}
    assert [(one.profile_id, one.decision) for one in pages] == [
        (person.pk, "planned"),
        (person.pk, "accepted"),
        (person.pk, "planned"),
        (other.pk, "planned"),
    ]
    counted = decisions.count_decisions(run.pk, each=True)
    assert [(one.decision, one.people) for one in counted] == [("planned", 3), ("accepted", 1)]
