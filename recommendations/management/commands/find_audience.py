from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from engage.lib import clock, screen
from engage.lib.arguments import text
from engage.lib.errors import EngageError
from recommendations import audience


class Command(BaseCommand):
    help = "Find the people a product would be recommended to, and how many at each score."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("item", type=text, help="product id")
        parser.add_argument("--catalog", type=text, default="default")
        parser.add_argument("-n", type=int, default=10, help="how many to name, at most 1,000")

    def handle(self, *args: Any, item: str, catalog: str, n: int, **options: Any) -> None:
        try:
            found = audience.find(item, catalog=catalog, n=n, now=clock.now())
        except EngageError as exc:
            raise CommandError(exc.message) from exc
        write = self.stdout.write
        if found.build is None:
            write("There is no model yet: build the recommendations first.")
            return
        write(f"{found.profiles:,} people want {item}; {found.bought:,} more bought it.")
        if not found.profiles:
            return
        write(f"\n{'the best':>10}{'score ≥':>12}{'people':>12}")
        for one in found.thresholds:
            write(f"{one.share:>10.0%}{one.score:>12.4f}{one.profiles:>12,}")
        if found.top:
            write(f"\n{'score':>10}  {'person':<30}because of")
            for wanter in found.top:
                name, because = map(screen.printable, (wanter.name, wanter.because))
                write(f"{wanter.score:>10.4f}  {name:<30}{because}")
