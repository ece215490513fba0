"""The composer shows what the campaign at hand needs, and nothing that would mean nothing."""

import pytest

from campaigns.models import Campaign
from tests.factories import make_template

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("redis_keys"),
]


def test_fields_come_and_go_with_channel_schedule_and_quiet_hours(inside, page, eye) -> None:
    day = make_template(channel="push", name="By day")
    night = make_template(channel="inbox", name="By night")
    inside("campaigns/campaign/add/")
    page.wait_for_load_state("networkidle")

    def is_shown(name: str) -> bool:
        return page.locator(f"#id_{name}").is_visible()

    page.select_option("#id_channel", "push")
    page.select_option("#id_schedule", "api")
    page.wait_for_timeout(200)
    asked = ("segment", "control_percent", "cut_off", "most_people", "sender", "quiet")
    assert [name for name in asked if is_shown(name)] == []

    page.select_option("#id_schedule", "now")
    page.select_option("#id_quiet", "inbox")
    page.wait_for_timeout(200)
    assert is_shown("quiet_template")
    assert is_shown("most_people")
    page.fill("#id_name", "Sale")
    page.select_option("#id_variants-0-template", str(day.pk))
    page.locator("button[name=_continue], input[name=_continue]").first.click()
    page.wait_for_load_state("networkidle")
    assert "say what goes by Inbox instead" in page.inner_text("body")
    page.select_option("#id_quiet_template", str(night.pk))
    page.locator("button[name=_continue], input[name=_continue]").first.click()
    page.wait_for_load_state("networkidle")

    saved = Campaign.objects.get(name="Sale")
    assert (saved.quiet, saved.quiet_template_id) == ("inbox", night.pk)
    assert eye.outside == []
    assert eye.complaints == []


def test_a_campaign_waits_for_what_somebody_does(inside, page, eye) -> None:
    left = make_template(channel="push", name="Left behind")
    inside("campaigns/campaign/add/")
    page.wait_for_load_state("networkidle")
    page.fill("#id_name", "Cart")
    page.select_option("#id_channel", "push")
    page.select_option("#id_variants-0-template", str(left.pk))
    waits = ("on_event", "on_where", "on_wait", "unless_event", "again_after")
    assert [name for name in waits if page.locator(f"#id_{name}").is_visible()] == []

    page.select_option("#id_schedule", "event")
    page.wait_for_timeout(200)
    assert all(page.locator(f"#id_{name}").is_visible() for name in waits)
    assert not page.locator("#id_spread").is_visible()
    page.fill("#id_on_where", '[{"property": "value", "op": "over", "value": 50}]')
    page.locator("button[name=_continue], input[name=_continue]").first.click()
    page.wait_for_load_state("networkidle")
    assert "expected one of: =, !=" in page.inner_text("body")
    page.fill("#id_on_event", "Cart Viewed")
    page.fill("#id_on_where", '[{"property": "value", "op": ">", "value": 50}]')
    page.fill("#id_on_wait", "1")
    page.fill("#id_unless_event", "Order Completed")
    page.locator("button[name=_continue], input[name=_continue]").first.click()
    page.wait_for_load_state("networkidle")
    assert (
        "1 hour after somebody does “Cart Viewed”, unless they do “Order Completed” meanwhile;"
        " not again within 1 day"
    ) in page.inner_text("body")

    page.get_by_text("Launch…").click()
    page.wait_for_load_state("networkidle")
    assert "each person who does “Cart Viewed”" in page.inner_text("body")
    page.get_by_role("button", name="Launch the campaign").click()
    page.wait_for_load_state("networkidle")
    assert "Events asked for 0 messages so far" in page.inner_text("body")
    assert Campaign.objects.get(name="Cart").state == "active"
    assert eye.outside == []
    assert eye.complaints == []
