import pytest

from campaigns import stats
from campaigns.models import Variant
from delivery.models import Interaction
from engage.lib.ids import uuid7
from tests.factories import (
    make_campaign,
    make_catalog,
    make_message,
    make_profile,
    make_run,
    make_slot,
    make_template,
)

pytestmark = pytest.mark.django_db


def interaction(message, kind, now, **fields):
    Interaction.objects.create(
        profile_id=message.profile_id, id=uuid7(), key=uuid7(), message_id=message.id,
        campaign_id=message.campaign_id, run_id=message.run_id, variant_id=message.variant_id,
        channel="email", kind=kind, ts=now, **fields,
    )  # fmt: skip


@pytest.fixture
def run(now):
    """Two wordings: one clicked twice by one person and once by a machine, one only accepted."""
    make_catalog(products=2)
    template = make_template(name="May")
    make_slot(template=template)
    campaign = make_campaign(template=template)
    other = Variant.objects.create(campaign=campaign, template=template, name="b")
    run = make_run(campaign=campaign, at=now, audience=4, planned=3, held_out=1)
    first, second = campaign.variants.get(name="a"), other
    shown = [{"slot": "picks", "item": "p1", "rank": 1, "rung": "personal", "source": "similar"}]
    rows = [
        make_message(
            profile=make_profile(), now=now, campaign_id=campaign.pk, run_id=run.pk,
            variant_id=variant.pk, state=state, items=items,
        )
        for variant, state, items in (
            (first, "accepted", shown), (first, "suppressed", []), (second, "accepted", shown),
        )
    ]  # fmt: skip
    for _ in range(2):
        interaction(rows[0], "click", now, item_id="p1", position=1)
    interaction(rows[0], "impression", now, item_id="p1", position=1)
    interaction(rows[2], "click", now, machine=True)
    return run


def test_variants_stand_beside_each_other_without_machines(run):
    shown = [
        (one["name"], one["template"], one["messages"], one["accepted"], one["clicks"])
        for one in stats.list_variants(run)
    ]
    assert shown == [("a", "May", 2, 1, 1), ("b", "May", 1, 1, 0)]


def test_the_page_has_the_control_group_and_titles_of_products(run):
    page = stats.run_page(run)
    assert (page["audience"], page["held_out"]) == (4, 1)
    assert page["figures"]["planned"] == 3
    [product] = page["products"]
    assert (product["item"], product["name"]) == ("p1", "Product p1")
    assert (product["shown"], product["clicked"]) == (1, 1)
