from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from campaigns import ranker
from engage.lib import clock
from engage.lib.arguments import text
from engage.lib.errors import EngageError
from recommendations.models import Ranker

SAID = {
    Ranker.State.LIVE: "Live.",
    Ranker.State.REFUSED: "Refused.",
    Ranker.State.WAITING: "Not trained.",
    Ranker.State.OFF: "Kept.",
}


class Command(BaseCommand):
    help = "Learn from what slots showed and what was clicked which products to show first."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "catalog", type=text, nargs="?", default="default", help="name of the catalog"
        )

    def handle(self, *args: Any, catalog: str, **options: Any) -> None:
        try:
            made = ranker.train(catalog, now=clock.now())
        except EngageError as exc:
            raise CommandError(exc.message) from exc
        write, figures = self.stdout.write, made.figures
        write(
            f"Ranker {made.pk} of catalog {catalog}: {figures['impressions']:,} products shown, "
            f"{figures['clicks']:,} clicked, in the last {ranker.DAYS} days."
        )
        if "ndcg" in figures:
            write(
                f"Judged by {figures['lists_judged']:,} newer lists with a click: NDCG "
                f"{figures['ndcg']:.4f}, as they were shown {figures['ndcg_as_shown']:.4f}."
            )
        if made.weights:
            write("It looks at " + ", ".join(f"{n} {w:.0%}" for n, w in made.weights.items()))
        write(f"{SAID[Ranker.State(made.state)]} {made.reason}".rstrip())
