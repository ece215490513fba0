"""A marketer opens the ranking of a slot, asks for more than relevance, and sees what it costs."""

import pytest

from campaigns.models import Slot
from recommendations.models import HandPicked
from tests.browser.test_marketer import (  # noqa: F401 - fixtures
    campaign,
    log_in,
    marketer,
    own_place,
)

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("redis_keys"),
]


@pytest.mark.parametrize("width", [390, 1360])
def test_ranking_of_a_slot(live_server, page, eye, marketer, campaign, width) -> None:  # noqa: F811
    page.set_viewport_size({"width": width, "height": 900})
    HandPicked.objects.update(item_ids=["p1", "p2", "p3", "p4", "p5"])
    log_in(page, live_server.url)
    template = campaign.variants.get().template
    page.goto(f"{live_server.url}/admin/campaigns/template/{template.pk}/change/")
    page.wait_for_load_state("networkidle")
    assert not page.locator("#id_slots-0-variety").is_visible()
    page.click("summary:has-text('Ranking')")
    assert page.locator("#id_slots-0-variety").is_visible()
    page.fill("#id_slots-0-variety", "30")
    page.fill("#id_slots-0-caps", "category: 2")
    page.fill("#id_slots-0-pins", "1: p4")
    page.fill("#id_slots-0-block_after", "3")
    page.fill("#id_slots-0-damp_after", "5")
    page.locator("button[name=_continue], input[name=_continue]").first.click()
    page.wait_for_load_state("networkidle")
    assert "Must come later than showing it less" in page.inner_text("body")
    page.fill("#id_slots-0-damp_after", "2")
    page.locator("button[name=_continue], input[name=_continue]").first.click()
    page.wait_for_load_state("networkidle")
    slot = Slot.objects.get()
    assert (slot.variety, slot.caps, slot.block_after) == (30, {"category": 2}, 3)
    assert slot.pins == [{"place": 1, "item": "p4"}]
    page.goto(f"{live_server.url}/admin/campaigns/template/{template.pk}/look/")
    page.wait_for_load_state("networkidle")
    assert "pins and boosts give up" in page.inner_text("body")
    assert page.evaluate("document.documentElement.scrollWidth") <= width + 1
    assert eye.outside == []
    assert eye.complaints == []
