"""What was left to chance, counted and judged, from rows as the ledger has them."""

from datetime import timedelta
from io import StringIO

import numpy as np
import pytest
from django.core.management import CommandError, call_command

from campaigns import arms, slots, tasks
from delivery import interactions
from delivery.interactions import Deed, Kind
from engage.lib.errors import InvalidInput
from engage.profiles.models import Profile
from recommendations.arms import ARMS, probabilities
from recommendations.models import ArmResult, HandPicked
from recommendations.serve import Who
from tests.factories import (
    NOON,
    make_campaign,
    make_catalog,
    make_message,
    make_profile,
    make_slot,
    make_template,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def campaign():
    return make_exploring()


def make_exploring(*, catalog="default", explore=20):
    template = make_template()
    make_slot(template=template, catalog=catalog, explore=explore)
    return make_campaign(template=template)


def send(campaign, item, arm, *, p=0.1, own=None, clicked=False, machine=False, **fields):
    """A message whose last product was left to chance; perhaps somebody clicks it."""
    variant = campaign.variants.get()
    drawn = {"item": item, "p": p, "arm": arm, "arms": own or {arm: 0.1}}
    plain = {"slot": "picks", "item": "sure", "rank": 1}
    message = make_message(
        profile=fields.pop("profile", None) or make_profile(),
        campaign_id=campaign.pk,
        variant_id=variant.pk,
        **({"state": "accepted", "items": [plain, {"slot": "picks", "rank": 2} | drawn]} | fields),
    )
    if clicked:
        about = interactions.about(message)
        interactions.add([Deed(about, Kind.CLICK, NOON, item, 2, machine=machine)])
    return message


def counted():
    rows = ArmResult.objects.order_by("catalog", "arm")
    return [(row.catalog, row.arm, row.shown, row.clicked) for row in rows]


def test_each_arm_is_counted_with_the_clicks_of_people(campaign):
    send(campaign, "a", "trend", clicked=True)
    send(campaign, "a", "trend")
    send(campaign, "b", "trend", clicked=True, machine=True)
    send(campaign, "c", "cold", clicked=True)
    send(campaign, "d", "list", clicked=True)  # stood there anyway: no arm's merit
    arms.count(now=NOON)
    assert counted() == [("default", "cold", 1, 1), ("default", "trend", 3, 1)]


def test_a_click_on_another_product_or_twice_is_no_further_click(campaign):
    message = send(campaign, "a", "trend", clicked=True)
    about = interactions.about(message)
    later = NOON + timedelta(hours=1)
    interactions.add([Deed(about, Kind.CLICK, later, "a", 2, link="other")])
    other = interactions.about(send(campaign, "b", "trend"))
    interactions.add([Deed(other, Kind.CLICK, NOON, "sure", 1), Deed(other, Kind.OPEN, NOON)])
    arms.count(now=NOON)
    assert counted() == [("default", "trend", 2, 1)]


def test_tests_failures_and_old_messages_do_not_count(campaign):
    send(campaign, "a", "trend", kind="test")
    send(campaign, "a", "trend", state="failed")
    send(campaign, "a", "trend", created_at=NOON - timedelta(days=29))
    send(campaign, "a", "trend", created_at=NOON - timedelta(days=27))
    arms.count(now=NOON)
    assert counted() == [("default", "trend", 1, 0)]


def test_each_catalog_has_its_own_counts_and_slots_that_do_not_explore_have_none(campaign):
    send(campaign, "a", "trend")
    send(make_exploring(catalog="shoes"), "x", "trend")
    send(make_exploring(catalog="books", explore=0), "y", "trend")
    arms.count(now=NOON)
    assert counted() == [("default", "trend", 1, 0), ("shoes", "trend", 1, 0)]


def test_counting_again_changes_nothing_and_forgets_what_is_over(campaign):
    send(campaign, "a", "trend", clicked=True)
    arms.count(now=NOON)
    arms.count(now=NOON)
    assert counted() == [("default", "trend", 1, 1)]
    campaign.variants.get().template.slots.update(explore=0)
    arms.count(now=NOON)
    assert counted() == []


def test_the_task_counts(campaign, monkeypatch):
    send(campaign, "a", "trend")
    monkeypatch.setattr("engage.lib.clock.now", lambda: NOON)
    tasks.count_arms()
    assert counted() == [("default", "trend", 1, 0)]


# --- judging ----------------------------------------------------------------------------------

CLICKED = {"t": 0.30, "c": 0.05, "l": 0.15}  # how likely each product is clicked
OWN = {"t": {"trend": 1.0}, "c": {"cold": 1.0}, "l": {"list": 1.0}}
RAN = {"t": 0.2, "c": 0.2, "l": 0.6}


def run_for_a_month(campaign, *, messages=600, seed=1):
    rng = np.random.default_rng(seed)
    for item in rng.choice(list(RAN), messages, p=list(RAN.values())).tolist():
        clicked = bool(rng.random() < CLICKED[item])
        arm = next(iter(OWN[item]))
        send(campaign, item, arm, p=RAN[item], own=OWN[item], clicked=clicked)


def test_policies_are_judged_from_the_logs_alone(campaign):
    run_for_a_month(campaign)
    lines = dict(arms.compare("default", mixtures={"half": {"trend": 0.5, "cold": 0.5}}, now=NOON))
    truth = {
        "as it ran": sum(RAN[item] * CLICKED[item] for item in RAN),
        "list": 0.15,
        "trend": 0.30,
        "cold": 0.05,
        "half": 0.175,
    }
    for name, value in truth.items():
        found = lines[name]
        assert found.ips.low < value < found.ips.high, name
        assert found.snips.low < value < found.snips.high, name
        assert found.decisions == 600
    assert lines["as it ran"].effective == 600
    assert 90 < lines["trend"].effective < 150  # about a fifth of them
    assert lines["content"].effective == 0


def test_many_messages_of_one_person_are_one_observation(campaign):
    one = make_profile()
    for number in range(40):
        send(campaign, "t", "trend", p=1.0, clicked=True, profile=one)
        send(campaign, "t", "trend", p=1.0, clicked=number < 20)
    [ran] = [found for name, found in arms.compare("default", now=NOON) if name == "as it ran"]
    assert ran.snips.value == 0.75
    assert ran.snips.high - ran.snips.low > 0.4  # of 80 independent ones it were 0.19


def test_only_the_logs_of_the_catalog_and_the_days_are_looked_at(campaign):
    send(campaign, "a", "trend", clicked=True)
    send(campaign, "a", "trend", created_at=NOON - timedelta(days=10))
    send(make_exploring(catalog="shoes"), "x", "trend")
    assert arms.compare("default", now=NOON)[0].estimate.decisions == 2
    assert arms.compare("default", days=9, now=NOON)[0].estimate.decisions == 1
    assert arms.compare("books", now=NOON) == []


def test_logs_of_slots_that_explore_no_more_are_still_judged(campaign):
    send(campaign, "a", "trend")
    campaign.variants.get().template.slots.update(explore=0)
    assert arms.compare("default", now=NOON)[0].estimate.decisions == 1


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"days": 0}, "days is 0, expected 1 to 365"),
        ({"clip": 0.0}, "clip is 0.0"),
        ({"mixtures": {"m": {"warm": 1.0}}}, "m: there is no arm 'warm'; expected list, trend"),
        ({"mixtures": {"m": {"trend": 0.5}}}, "m: weights must be 0 to 1 and sum to 1"),
        ({"mixtures": {"m": {"trend": 2.0, "cold": -1.0}}}, "m: weights must be"),
        ({"mixtures": {"m": {"trend": float("nan")}}}, "m: weights must be"),
    ],
)
def test_impossible_questions_are_refused(options, words):
    with pytest.raises(InvalidInput, match=words):
        arms.compare("default", now=NOON, **options)


def run(*args):
    out = StringIO()
    call_command("compare_strategies", *args, stdout=out)
    return out.getvalue()


def test_command_prints_each_policy_beside_the_one_that_ran(campaign, monkeypatch):
    monkeypatch.setattr("engage.lib.clock.now", lambda: NOON)
    assert "Nothing of catalog default was left to chance" in run()
    for number in range(40):
        send(campaign, "t", "trend", p=0.5, own={"trend": 1.0}, clicked=number < 10)
        send(campaign, "l", "list", p=0.5, own={"list": 1.0}, clicked=number < 4)
    lines = run("--mix", "trend=0.5,list=0.5").splitlines()
    assert lines[0] == "Clicks per open place in the last 28 days, 80 of them."
    assert "19 of 20" in " ".join(lines[-5:])
    by_name = {line[:24].strip(): line[24:].split() for line in lines[2:]}
    assert by_name["as it ran"][0] == "17.50%"
    assert by_name["trend"][0] == "25.00%"
    assert by_name["list"][0] == "10.00%"
    assert by_name["trend=0.5,list=0.5"][0] == "17.50%"
    assert by_name["trend"][-2:] == ["40", "0"]
    assert "not known" in " ".join(by_name["cold"])
    with pytest.raises(CommandError, match="there is no arm 'warm'"):
        run("--mix", "warm=1")
    with pytest.raises(CommandError, match="'trend' is not an arm and its share"):
        run("--mix", "trend")


def test_what_slots_write_is_what_is_counted_and_judged():
    """From the draw to the verdict, with the real recommender."""
    make_catalog(products=12)
    HandPicked.objects.create(catalog="default", item_ids=[f"p{n}" for n in range(1, 5)])
    template = make_template()
    slot = make_slot(template=template, ladder=["hand_picked"], maximum=4, explore=50)
    campaign = make_campaign(template=template)
    people = [Who(make_profile().pk, []) for _ in range(300)]
    tried = 0
    for one, filling in zip(people, slots.fill([slot], who=people, now=NOON), strict=True):
        message = make_message(
            profile=Profile(pk=one.profile_id),
            campaign_id=campaign.pk,
            variant_id=campaign.variants.get().pk,
            state="accepted",
            items=filling.items,
        )
        drawn = filling.items[-1]
        if drawn["arm"] == "cold":
            tried += 1
            about = interactions.about(message)
            interactions.add([Deed(about, Kind.CLICK, NOON, drawn["item"], 4)])
    arms.count(now=NOON)
    assert 15 < tried < 60  # half of the time one of five arms
    assert ("default", "cold", tried, tried) in counted()
    lines = dict(arms.compare("default", now=NOON))
    assert lines["as it ran"].decisions == 300
    assert lines["cold"].snips.low > lines["list"].snips.high
    assert lines["cold"].snips.value > 0.7  # every click was on it; the draws vary by person


def test_exploring_moves_to_what_is_clicked(campaign):
    for number in range(300):
        send(campaign, "a", "cold", clicked=number % 4 == 0)
        send(campaign, "b", "trend", clicked=number % 50 == 0)
    arms.count(now=NOON)
    played = dict(zip(ARMS, probabilities("default"), strict=True))
    assert played["cold"] > 0.5
    assert played["trend"] < 0.05
