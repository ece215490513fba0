"""`manage.py demo`: a shop that runs, from nothing to figures."""

import os
import signal
import threading
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser

from engage.demo import providers, setting_up, shop, story
from engage.demo.client import Client
from engage.lib import clock
from engage.lib.errors import EngageError
from engage.runner.running import Up, running, stop_when_asked


class Command(BaseCommand):
    help = "Starts everything, fills it with a demo shop, checks it, and stays up until Ctrl-C."
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--once", action="store_true", help="check, then stop: exit 0 or 1")

    def handle(self, *args: Any, **options: Any) -> None:
        folder = settings.DATA_DIR / "demo"
        log = settings.DATA_DIR / "log" / "demo.log"
        log.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.say(f"Starting everything in {settings.DATA_DIR} (what the parts say: {log})")
        try:
            with (
                log.open("ab") as output,
                providers.local_providers(folder / "captured") as doors,
                running(data_dir=settings.DATA_DIR, env=doors.env, output=output.fileno()) as up,
            ):
                failed = self.play(up, doors, folder)
                self.addresses(up, doors)
                if not options["once"]:
                    self.say("\nCtrl-C stops it.")
                    _wait_for_the_end()
        except EngageError as exc:
            raise CommandError(exc.message) from exc
        if failed and options["once"]:
            raise CommandError(f"{failed} of {len(story.STORY)} checks failed")

    def play(self, up: Up, doors: providers.Providers, folder: Path) -> int:
        """Fill the shop and walk through the story; the number of failed checks."""
        keys = setting_up.make_keys()
        self.login = setting_up.make_login()
        app, server = Client(up.url, keys.write), Client(up.url, keys.server)
        setting_up.load_shop(folder, image_base=f"{up.url}/static/demo", now=clock.now())
        self.say(f"  {setting_up.identify_people(app)} people identified")
        setting_up.wait_until_stored(app, server)
        call_command("build_recommendations", shop.CATALOG)
        stage = story.Stage(
            app=app,
            server=server,
            anyone=Client(up.url),
            mailbox=doors.mailbox,
            campaigns=setting_up.make_campaigns(now=clock.now()),
            kill_ingest=lambda: os.kill(up.children()["ingest"], signal.SIGKILL),
        )
        return sum(self.tell(name, step, stage) for name, step in story.STORY)

    def tell(self, name: str, step: story.Step, stage: story.Stage) -> bool:
        """Take one step and say how it went; whether it failed."""
        try:
            sentence = step(stage)
        except story.Disagreement as exc:
            self.say(self.style.ERROR(f"  FAIL {name:16}") + f" {exc}")
            return True
        self.say(self.style.SUCCESS(f"  ok   {name:16}") + f" {sentence}")
        return False

    def addresses(self, up: Up, doors: providers.Providers) -> None:
        self.say(
            f"\n  Admin            {up.url}/admin/   {self.login.name} / {self.login.password}"
            f"\n  API docs         {up.url}/docs/"
            f"\n  Captured e-mail  {doors.mailbox / 'index.html'}"
            f"\n  Captured push    {doors.pushes / 'index.html'}"
        )

    def say(self, text: str) -> None:
        self.stdout.write(text)
        self.stdout.flush()


def _wait_for_the_end() -> None:
    ended = threading.Event()
    stop_when_asked(lambda *_: ended.set())
    ended.wait()
