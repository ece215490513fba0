"""From what slots showed and what was clicked to a ranker, with the rows of the ledger."""

import json
from datetime import timedelta
from io import StringIO

import numpy as np
import pytest
from django.core.management import CommandError, call_command

from campaigns import ranker, slots, tasks
from campaigns.app_content import token_item
from delivery import inapp, interactions
from delivery.interactions import Deed, Kind
from delivery.models import Interaction, Message
from delivery.notices import _record
from engage.lib.ids import digest16, uuid7
from recommendations import features, rankers, shelf
from recommendations.models import HandPicked, Ranker
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
from tests.recommendations.logs import LENGTH, alike, dear, make_logs

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def own_place(settings, tmp_path):
    settings.DATA_DIR = tmp_path
    shelf.forget()
    rankers.forget()
    yield
    shelf.forget()
    rankers.forget()


@pytest.fixture
def campaign():
    return make_filled()


def make_filled(catalog="default"):
    make_catalog(name=catalog)
    template = make_template()
    make_slot(template=template, catalog=catalog)
    return make_campaign(template=template)


def entry(place=1, item="p1", *, slot="picks", rung="personal", source="next", f=None):
    f = [1_000, *[None] * (len(features.LOGGED) - 1)] if f is None else f
    return {"slot": slot, "item": item, "rank": place, "rung": rung, "source": source, "f": f}


def send(campaign, *entries, clicked=(), machine=False, **fields):
    message = make_message(
        profile=make_profile(),
        campaign_id=campaign.pk,
        variant_id=campaign.variants.get().pk,
        **({"state": "accepted", "items": list(entries)} | fields),
    )
    about = interactions.about(message)
    interactions.add(Deed(about, Kind.CLICK, NOON, item, 1, machine=machine) for item in clicked)
    return message


def read():
    return ranker.read("default", since=NOON - timedelta(days=1))


def test_each_product_is_a_row_with_its_click_the_newest_list_last(campaign):
    send(campaign, entry(1, "a"), entry(2, "b"), clicked=["b"])
    later = NOON + timedelta(hours=1)
    send(campaign, entry(1, "c", rung="hand_picked", source="hand_picked"), created_at=later)
    table = read()
    assert table[:, :8].tolist() == [
        [-2, NOON.timestamp() * 1_000, 0, 0, 1, 0, 0, 1_000],
        [-2, NOON.timestamp() * 1_000, 0, 1, 2, 0, 0, 1_000],
        [-1, later.timestamp() * 1_000, -1, 0, 1, pytest.approx(np.nan, nan_ok=True),
         pytest.approx(np.nan, nan_ok=True), 1_000],
    ]  # fmt: skip


def test_tests_failures_machines_and_other_catalogs_do_not_count(campaign):
    send(campaign, entry(), kind="test")
    send(campaign, entry(), state="failed")
    send(campaign, entry(), created_at=NOON - timedelta(days=2))
    send(make_filled("shoes"), entry())
    send(campaign, entry(slot="other"))
    send(campaign, {"slot": "picks", "item": "a", "rank": 1})  # of an earlier release
    send(campaign, {"slot": "picks", "short": "omit_slot", "found": 0, "needed": 1})
    send(campaign, entry(f=[1]))
    assert len(read()) == 0
    send(campaign, entry(1, "a"), clicked=["a"], machine=True)
    assert read()[:, 3].tolist() == [0]


def fill_ledger(campaign, liking=dear, *, lists=1_500, seed=1):
    """A month of messages, as slots would have written them."""
    logs = make_logs(liking, lists=lists, seed=seed)
    variant, people = campaign.variants.get(), [make_profile() for _ in range(30)]
    messages, clicks = [], []
    for number in range(lists):
        rows = slice(number * LENGTH, (number + 1) * LENGTH)
        written = features.write(logs.table[rows, 3:])
        items = [entry(1 + k, f"p{k}", f=f) for k, f in enumerate(written)]
        moment = NOON - timedelta(minutes=lists - number)
        messages.append(
            Message(
                profile_id=people[number % 30].pk, id=uuid7(), key=digest16("m", str(number)),
                kind="campaign",
                campaign_id=campaign.pk, run_id=1, variant_id=variant.pk, channel="email",
                state="accepted", items=items, not_before=moment, expires_at=moment,
                created_at=moment,
            )
        )  # fmt: skip
        clicks += [
            Deed(interactions.about(messages[-1]), Kind.CLICK, moment, f"p{k}", 1 + k)
            for k in np.flatnonzero(logs.clicked[rows]).tolist()
        ]
    Message.objects.bulk_create(messages)
    interactions.add(clicks)


def run(*args):
    out = StringIO()
    call_command("train_ranker", *args, stdout=out)
    return out.getvalue()


def test_command_trains_judges_and_prints_the_figures(campaign, monkeypatch):
    monkeypatch.setattr("engage.lib.clock.now", lambda: NOON)
    fill_ledger(campaign)
    said = run().splitlines()
    row = Ranker.objects.get()
    assert said[0].startswith(f"Ranker {row.pk} of catalog default: 12,000 products shown, ")
    assert "newer lists with a click: NDCG 0." in said[1]
    assert said[2].startswith("It looks at price ")
    assert said[3] == "Live."
    assert row.figures["clicks"] == Interaction.objects.count()
    assert rankers.live("default").pk == row.pk
    with pytest.raises(CommandError, match="There is no catalog 'shoes'"):
        run("shoes")


def test_random_clicks_are_refused_with_a_sentence(campaign, monkeypatch):
    monkeypatch.setattr("engage.lib.clock.now", lambda: NOON)
    fill_ledger(campaign, alike)
    assert run().splitlines()[-1] == f"Refused. {rankers.NOT_BETTER}"


def test_nightly_task_trains_each_catalog_that_slots_are_filled_from(campaign, monkeypatch):
    monkeypatch.setattr("engage.lib.clock.now", lambda: NOON)
    make_catalog(name="unused")
    asked = []
    monkeypatch.setattr(tasks.train_ranker, "delay", asked.append)
    tasks.train_rankers()
    assert asked == ["default"]
    send(campaign, entry(1, "a"), clicked=["a"])
    tasks.train_ranker("default")
    row = Ranker.objects.get()
    assert row.reason == (
        "It needs 9,999 more products seen in messages and 199 more clicks on them."
    )


def test_what_slots_write_is_what_is_read():
    shop = make_catalog(products=6)
    HandPicked.objects.create(catalog=shop.name, item_ids=["p1", "p2", "p3"])
    template = make_template()
    slot = make_slot(template=template, ladder=["hand_picked"], maximum=3)
    campaign = make_campaign(template=template)
    [filling] = slots.fill([slot], who=[Who(None, [])], now=NOON)
    send(campaign, *filling.items, clicked=["p2"])
    table = read()
    assert table[:, 3].tolist() == [0, 1, 0]
    price = table[:, ranker.HEAD + features.FEATURES.index("price")]
    assert price.tolist() == np.rint(1_000 * np.log1p([1, 2, 3])).tolist()


def test_in_app_messages_carry_it_in_their_token_and_bring_it_back():
    shop = make_catalog(products=2)
    HandPicked.objects.create(catalog=shop.name, item_ids=["p1"])
    slot = make_slot(template=make_template(), ladder=["hand_picked"], maximum=1)
    [filling] = slots.fill([slot], who=[Who(None, [])], now=NOON)
    [record] = filling.items
    token = inapp.make_token(
        message_id=uuid7(), profile_id=1, campaign_id=1, variant_id=1,
        items=[token_item(record)],
    )  # fmt: skip
    [back] = inapp.read_token(token).items
    assert _record(back) == record
    assert json.dumps(record["f"]) == json.dumps(back.more["f"])
