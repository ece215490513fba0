"""A Chromium of the machine, and an eye on all that its pages do."""

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from django.contrib.auth.models import User
from django.db import connection

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
ARGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@dataclass
class Eye:
    """What a page complained of, and what it asked of other machines."""

    complaints: list[str] = field(default_factory=list)
    outside: list[str] = field(default_factory=list)

    def watch(self, page, *, home: str) -> None:
        def note(message) -> None:
            if message.type in {"error", "warning"}:
                self.complaints.append(message.text)

        def leave(request) -> None:
            if not request.url.startswith((home, "data:", "about:", "blob:")):
                self.outside.append(request.url)

        page.on("console", note)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", leave)


@pytest.fixture
def eye() -> Eye:
    return Eye()


@pytest.fixture
def page(live_server, eye: Eye, monkeypatch) -> Iterator[object]:
    """A page of a fresh browser. Skipped where the machine has no Chromium."""
    path = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        pytest.skip("no Chromium on this machine: install the package chromium, or set CHROMIUM")
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    # Playwright's loop runs in this thread, where Django then refuses its database.
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=path, args=ARGS)
        opened = browser.new_page(viewport={"width": 1360, "height": 900})
        opened.set_default_timeout(30_000)
        eye.watch(opened, home=live_server.url)
        yield opened
        browser.close()
        connection.close()  # the one of this loop: outside of it, Django has another


@pytest.fixture
def inside(live_server, page):
    """Logged in as a superuser; goes to a page of the admin."""
    User.objects.create_superuser("root", password="correct horse battery")
    page.goto(f"{live_server.url}/admin/")
    page.fill("#id_username", "root")
    page.fill("#id_password", "correct horse battery")
    page.click("#login-form button[type=submit]")
    page.wait_for_selector("#dashboard")
    return lambda path: page.goto(f"{live_server.url}/admin/{path}")
