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
