"""The page of builds in a real browser: it fits, it draws, and one click rolls back."""

from datetime import timedelta

import pytest

from recommendations.models import Build
from tests.factories import NOON, make_catalog
from tests.recommendations.shops import log_of, publish

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("redis_keys"),
]
IDS = ["p0", "p1", "p2"]
INK = """canvas => {
  const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
  let inked = 0;
  for (let at = 3; at < data.length; at += 4) inked += data[at] > 0;
  return inked;
}"""


@pytest.fixture
def builds(transactional_db, settings, tmp_path):
    settings.DATA_DIR = tmp_path
    make_catalog(products=3)
    for day in range(3):
        build = publish(log_of([["p0", "p1"]], IDS), IDS)
        shares = {"sources": {"next": 0.75, "similar": 0.25}}
        figures = {"ndcg@10": 0.2, "coverage@20": 0.5, "novelty": 9.0, **shares}
        moment = NOON + timedelta(days=day)
        Build.objects.filter(pk=build.pk).update(quality=figures, started_at=moment)
    Build.objects.create(catalog="default", state="refused", quality=figures, started_at=moment)
    return build


@pytest.mark.parametrize("width", [390, 1360])
def test_plots_fit_the_screen_and_are_drawn_in_light_and_dark(inside, page, eye, builds, width):
    page.set_viewport_size({"width": width, "height": 840})
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        inside("recommendations/build/")
        page.wait_for_load_state("networkidle")
        assert page.evaluate("document.documentElement.scrollWidth") <= width + 1
        assert page.locator("canvas").count() == 4
        for canvas in page.locator("canvas").all():
            assert canvas.evaluate(INK) > 500
    assert eye.outside == []
    assert eye.complaints == []


def test_line_of_the_meter_opens_its_reason(inside, page, builds):
    inside("recommendations/build/")
    page.click("#meter summary:has-text('Best sellers')")
    assert page.is_visible("text=two standard errors")


def test_one_click_and_a_yes_roll_back(inside, page, builds):
    inside("recommendations/build/")
    page.click("#plots >> text=Roll back…")
    page.click("text=Serve the build before it")
    page.wait_for_selector("text=is served again")
    states = list(Build.objects.order_by("pk").values_list("state", flat=True))
    assert states == ["replaced", "live", "refused", "refused"]
