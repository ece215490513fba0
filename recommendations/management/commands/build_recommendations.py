from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from engage.lib import clock, progress, screen
from engage.lib.arguments import text
from engage.lib.errors import EngageError
from recommendations import build
from recommendations.models import Build
from recommendations.steps import STEPS

METRICS = ("ndcg@10", "hr@10", "recall@20", "ndcg@20", "mrr@10", "coverage@20", "novelty")


class Command(BaseCommand):
    help = "Learn a catalog's recommendations, measure them, and publish or refuse them."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "catalog", type=text, nargs="?", default="default", help="name of the catalog"
        )
        parser.add_argument(
            "--force", action="store_true", help="publish even when it measures worse"
        )

    def handle(self, *args: Any, catalog: str, force: bool, **options: Any) -> None:
        try:
            made = build.run(
                catalog,
                now=clock.now(),
                progress=lambda step, share: progress.show(share, step),
                force=force,
            )
        except EngageError as exc:
            raise CommandError(exc.message) from exc
        finally:
            progress.clear()
        self.report(made)
        if made.state == Build.State.FAILED:
            raise CommandError(made.reason)

    def report(self, made: Build) -> None:
        data, quality = made.data, made.quality
        write = self.stdout.write
        write(
            f"Build {made.pk} of catalog {made.catalog}: {data.get('interactions', 0):,} events"
            f" of {data.get('profiles', 0):,} profiles with {data.get('products_met', 0):,} of"
            f" {data.get('products', 0):,} products."
        )
        if "profiles" in quality:
            write(
                f"Measured on {quality['profiles']:,} profiles, {quality['protocol']} held back.\n"
            )
            write(f"{'':<14}{'new':>10}{'live':>10}")
            for name in METRICS:
                if name in quality:
                    live = quality.get(f"live_{name}")
                    shown = screen.NOTHING if live is None else f"{live:.4f}"
                    write(f"{name:<14}{quality[name]:>10.4f}{shown:>10}")
        if alike := quality.get("people_alike"):
            used = ", ".join(alike["used"]) or "none of them says more than what is popular"
            write(
                f"\nAttributes tried on {alike['newcomers']:,} newcomers: {alike['tried']};"
                f" used: {used}."
            )
        took = {name: value for name, value in made.timings.items() if name in STEPS}
        write(
            f"\nTook {made.timings.get('total', 0):.1f} s ("
            + ", ".join(f"{name} {took[name]:.1f}" for name in STEPS if name in took)
            + f"), peak memory {made.timings.get('peak_memory_mb', 0):,.0f} MB."
        )
        word = {"live": "Published", "refused": "Refused", "failed": "Failed"}[made.state]
        write(f"{word}. {made.reason}".rstrip())
