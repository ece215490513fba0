"""Bars of what is under way move by themselves, and the page notices the end."""

import threading

import pytest

from catalog import uploads
from engage import work
from recommendations.models import Build
from tests.factories import NOON

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("redis_keys"),
]


def tell(build, share, step):
    told = {"step": step, "share": share, "told": NOON.isoformat()}
    Build.objects.filter(pk=build.pk).update(progress=told)


def test_bar_of_a_build_moves_and_its_end_is_shown(inside, page, eye):
    build = Build.objects.create(catalog="default", started_at=NOON)
    for path in ("", "recommendations/build/", f"recommendations/build/{build.pk}/change/"):
        Build.objects.update(state="running")
        tell(build, 0.2, "choose")
        inside(path)
        bar = page.locator(f'[data-work="build-{build.pk}"]').first
        assert "choose" in bar.inner_text()
        tell(build, 0.8, "learn")
        page.wait_for_function(
            "document.querySelector('[data-work] .words').innerText.startsWith('learn')"
        )
        assert bar.locator(".bar > span").get_attribute("style") == "width: 80%;"
        Build.objects.update(state="live")
        page.wait_for_selector("[data-work]", state="detached")
    assert eye.complaints == []


REMEMBER = """
document.addEventListener("submit", () => new MutationObserver(() => {
  sessionStorage.words = document.querySelector(".work .words").textContent;
}).observe(document.querySelector(".work"), { subtree: true, childList: true }));
"""


def test_form_shows_how_much_of_its_file_is_read(inside, page, monkeypatch):
    asked = threading.Semaphore(0)
    stage, list_works = uploads.stage, work.list_works

    def listed(*args, **options):
        asked.release()
        return list_works(*args, **options)

    def held(*args, progress, **options):
        progress(0.42, "comparing")
        for _ in range(2):  # the second question comes when the first was answered
            assert asked.acquire(timeout=20)
        return stage(*args, progress=progress, **options)

    monkeypatch.setattr(work, "list_works", listed)
    monkeypatch.setattr(uploads, "stage", held)
    page.add_init_script(REMEMBER)
    inside("catalog/upload/add/")
    file = {"name": "a.csv", "mimeType": "text/csv", "buffer": b"id,name\n1,One\n"}
    page.set_input_files("#id_file", file)
    page.click("text=Read the file")
    page.wait_for_selector("#upload")
    assert page.evaluate("sessionStorage.words") == "comparing, 42%"
