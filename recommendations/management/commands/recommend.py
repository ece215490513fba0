import unicodedata
from argparse import ArgumentParser
from collections.abc import Mapping, Sequence
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from catalog import snapshot
from engage.lib import clock, screen
from engage.lib.arguments import text
from engage.lib.errors import EngageError
from engage.profiles import activity, identity
from recommendations import cost, serve
from recommendations.api import find_context, list_items, parse_ranking

HEADINGS = ("", "id", "title", "price", "rung", "reason")
WIDEST = 44
MOST = 1_000


class Command(BaseCommand):
    help = "Show what a person would be recommended now, and why."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("user", type=text, help="user id")
        parser.add_argument("-n", type=int, default=10, help=f"how many, at most {MOST}")
        parser.add_argument("--strategy", default="personal", choices=serve.STRATEGIES)
        parser.add_argument("--catalog", type=text, default="default")
        parser.add_argument(
            "--item", type=text, default="", help="for the strategies similar and next"
        )

        parser.add_argument(
            "--ranking", type=text, default="", help="variety, caps, boosts and pins, as JSON"
        )

    def handle(
        self,
        *args: Any,
        user: str,
        n: int,
        strategy: str,
        catalog: str,
        item: str,
        ranking: str,
        **options: Any,
    ) -> None:
        if n > MOST:
            raise CommandError(f"-n is {n}, expected at most {MOST}.")
        profile_id = identity.find_profile_id(user_id=user)
        if profile_id is None:
            raise CommandError(f"There is no profile with the user id {user!r}.")
        who = serve.Who(profile_id, activity.recent(profile_id, user_id=user))
        try:
            if item and item not in snapshot.current(catalog).index:
                raise CommandError(f"--item: catalog {catalog!r} has no product {item!r}.")
            wished = parse_ranking(ranking, snapshot.current(catalog), n=n)
            asked: dict[str, Any] = {"catalog": catalog, "n": n, "strategy": strategy}
            asked |= {"item": item, "contexts": [find_context(who, None)], "now": clock.now()}
            found = serve.recommend([who], ranking=wished, **asked)
            price = cost.weigh([who], ranking=wished, **asked) if wished else None
        except EngageError as exc:
            raise CommandError(exc.message) from exc
        self.show(list_items(found, catalog=catalog), n=n)
        if price is not None:
            self.stdout.write(f"Pins and boosts give up {100 * price.share:.0f} % of relevance.")

    def show(self, cards: Sequence[Mapping[str, Any]], *, n: int) -> None:
        rows = [HEADINGS]
        for card in cards:
            price = f"{card['price']} {card['currency']}".strip() if card["price"] else ""
            known = (card[column] for column in ("id", "name"))
            rows.append((str(card["rank"]), *known, price, card["rung"], card["reason"]))
        widths = [max(width(cut(row[k])) for row in rows) for k in range(len(HEADINGS))]
        for row in rows:
            cells = (pad(cut(cell), size) for cell, size in zip(row, widths, strict=True))
            self.stdout.write("  ".join(cells).rstrip())
        if len(cards) < n:
            self.stdout.write(f"Only {len(cards)}: nothing else may be shown.")


def cut(cell: str) -> str:
    """Short enough for a column."""
    plain = screen.printable(cell)
    return plain if len(plain) <= WIDEST else plain[: WIDEST - 1] + "…"


def width(cell: str) -> int:
    """Columns on a terminal: wide letters take two."""
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in cell)


def pad(cell: str, size: int) -> str:
    return cell + " " * (size - width(cell))
