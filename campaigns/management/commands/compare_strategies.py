from argparse import ArgumentParser, ArgumentTypeError
from math import inf
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from campaigns import arms
from engage.lib import clock
from engage.lib.arguments import text
from engage.lib.errors import EngageError
from recommendations.algorithms.off_policy import Interval

LEGEND = """
IPS weighs each click by how much likelier the policy was to show the product; SNIPS divides by the
sum of the weights and is steadier. In brackets, where the true rate is to be expected in 19 of 20
cases. Effective: so many places of the policy itself would tell as much; below some hundreds the
figures decide little. Clipped: places whose weight was cut, see --clip."""


class Command(BaseCommand):
    help = (
        "Say what other mixtures of arms would have earned, from the logs of slots that explore."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--catalog", type=text, default="default")
        parser.add_argument("--days", type=int, default=arms.COUNTED_DAYS, help="how far back")
        parser.add_argument(
            "--mix",
            type=mixture,
            action="append",
            default=[],
            metavar="ARM=SHARE,…",
            help="a mixture to judge, such as trend=0.5,cold=0.5; may be given several times",
        )
        parser.add_argument(
            "--clip",
            type=float,
            default=inf,
            help="cut weights at so much: less noise, but biased (default: never)",
        )

    def handle(
        self,
        *args: Any,
        catalog: str,
        days: int,
        mix: list[tuple[str, dict[str, float]]],
        clip: float,
        **options: Any,
    ) -> None:
        try:
            lines = arms.compare(
                catalog, days=days, mixtures=dict(mix), clip=clip, now=clock.now()
            )
        except EngageError as exc:
            raise CommandError(exc.message) from exc
        write = self.stdout.write
        if not lines:
            write(f"Nothing of catalog {catalog} was left to chance in the last {days} days.")
            return
        ran = lines[0].estimate
        write(f"Clicks per open place in the last {days} days, {ran.decisions:,} of them.\n")
        write(f"{'policy':<24}{'IPS':<26}{'SNIPS':<26}{'effective':>11}{'clipped':>9}")
        for name, found in lines:
            write(
                f"{name:<24}{spell(found.ips):<26}{spell(found.snips):<26}"
                f"{found.effective:>11,.0f}{found.clipped:>9,}"
            )
        write(LEGEND)


def spell(one: Interval) -> str:
    if one.value != one.value:
        return "not known"
    return f"{one.value:.2%} ({one.low:.2%} to {one.high:.2%})"


def mixture(value: str) -> tuple[str, dict[str, float]]:
    """trend=0.5,cold=0.5"""
    found: dict[str, float] = {}
    for part in text(value).split(","):
        arm, _, share = part.partition("=")
        try:
            found[arm.strip()] = float(share)
        except ValueError as exc:
            raise ArgumentTypeError(f"{part!r} is not an arm and its share") from exc
    return value, found
