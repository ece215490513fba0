from datetime import timedelta

import pytest

from campaigns import fanout
from campaigns.experiments import is_held_out
from campaigns.models import ControlMember, Run, Variant
from delivery.models import Message
from engage.profiles.models import Device
from tests.factories import (
    make_campaign,
    make_profile,
    make_run,
    make_segment,
    make_template,
)

pytestmark = pytest.mark.django_db


def plan_all(run, *, now, limit=1000):
    chunks = 1
    while fanout.plan_chunk(run.pk, now=now, limit=limit):
        chunks += 1
    run.refresh_from_db()
    return chunks


def test_everybody_of_the_segment_gets_one_message(now):
    german = [make_profile(country="DE", email=f"{n}@x.example").pk for n in range(3)]
    make_profile(country="FR")
    segment = make_segment(rule={"attribute": "country", "op": "=", "value": "DE"})
    run = make_run(campaign=make_campaign(segment=segment, topic="news"), at=now)
    plan_all(run, now=now)
    assert (
        list(Message.objects.order_by("profile_id").values_list("profile_id", flat=True)) == german
    )
    assert set(Message.objects.values_list("topic", "state")) == {("news", "planned")}
    assert (run.state, run.audience, run.planned, run.held_out) == ("sending", 3, 3, 0)
    assert run.planned_at == now


def test_chunks_of_any_size_plan_the_same_people_once(now):
    people = {make_profile().pk for _ in range(7)}
    for limit in (1, 3, 7, 100):
        run = make_run(campaign=make_campaign(), at=now)
        plan_all(run, now=now, limit=limit)
        planned = Message.objects.filter(run_id=run.pk).values_list("profile_id", flat=True)
        assert sorted(planned) == sorted(people)


def test_a_repeated_chunk_adds_nobody(now):
    make_profile()
    run = make_run(at=now)
    plan_all(run, now=now)
    Run.objects.filter(pk=run.pk).update(cursor=0, state="planning", planned=0)
    plan_all(run, now=now)
    assert Message.objects.count() == 1
    assert run.planned == 0


def test_who_comes_after_the_start_is_not_in_the_audience(now):
    for _ in range(3):
        make_profile()
    run = make_run(at=now)
    fanout.plan_chunk(run.pk, now=now, limit=2)
    make_profile()
    plan_all(run, now=now, limit=2)
    assert run.audience == 3


def test_a_segment_edited_meanwhile_changes_no_run(now):
    people = [make_profile(country="DE").pk for _ in range(2)]
    segment = make_segment(rule={"attribute": "country", "op": "=", "value": "DE"})
    run = make_run(campaign=make_campaign(segment=segment), at=now)
    assert fanout.plan_chunk(run.pk, now=now, limit=1)
    segment.rule = {"any": []}
    segment.save()
    plan_all(run, now=now)
    assert sorted(Message.objects.values_list("profile_id", flat=True)) == people


def test_the_control_group_gets_no_message_and_is_remembered(now):
    people = [make_profile().pk for _ in range(40)]
    campaign = make_campaign(control_percent=25)
    run = make_run(campaign=campaign, at=now)
    plan_all(run, now=now, limit=11)
    held = {p for p in people if is_held_out(campaign.pk, person=p, percent=25)}
    assert held
    assert set(ControlMember.objects.values_list("profile_id", flat=True)) == held
    written = set(Message.objects.values_list("profile_id", flat=True))
    assert written == set(people) - held
    assert (run.held_out, run.planned, run.audience) == (len(held), 40 - len(held), 40)


def test_the_next_run_holds_out_the_same_people(now):
    for _ in range(40):
        make_profile()
    campaign = make_campaign(control_percent=25)
    groups = []
    for day in range(2):
        run = make_run(campaign=campaign, at=now + timedelta(days=day))
        plan_all(run, now=now, limit=9 + day)
        groups.append(set(run.controlmember_set.values_list("profile_id", flat=True)))
    assert groups[0] == groups[1] != set()


def test_a_push_has_a_message_for_each_device(now):
    person = make_profile(push_token="t1")
    Device.objects.create(profile=person, device_id="tablet", token="t2", last_seen=now)
    without = make_profile()
    run = make_run(campaign=make_campaign(channel="push"), at=now)
    plan_all(run, now=now)
    rows = set(Message.objects.values_list("profile_id", "address_id"))
    assert rows == {(person.pk, f"d{person.pk}"), (person.pk, "tablet"), (without.pk, "")}


def test_messages_die_with_the_campaign_s_patience(now):
    make_profile()
    campaign = make_campaign(expires_after=timedelta(hours=2))
    plan_all(make_run(campaign=campaign, at=now - timedelta(minutes=30)), now=now)
    assert Message.objects.get().expires_at == now + timedelta(hours=2)


def test_variants_share_the_audience(now):
    for _ in range(60):
        make_profile()
    campaign = make_campaign()
    other = Variant.objects.create(campaign=campaign, template=make_template(), name="b")
    plan_all(make_run(campaign=campaign, at=now), now=now)
    share = Message.objects.filter(variant_id=other.pk).count()
    assert 15 <= share <= 45


@pytest.mark.parametrize("state", ["paused", "cancelled", "missed", "finished"])
def test_only_a_planning_run_is_planned(now, state):
    make_profile()
    run = make_run(at=now, state=state)
    assert fanout.plan_chunk(run.pk, now=now, limit=10) is False
    assert Message.objects.count() == 0


def test_a_run_without_anybody_is_planned_at_once(now):
    run = make_run(at=now)
    assert plan_all(run, now=now) == 1
    assert (run.state, run.planned) == ("sending", 0)
