import unicodedata
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from catalog import snapshot
from engage.lib import clock
from engage.lib.errors import EngageError
from engage.profiles import activity, identity
from recommendations import serve

HEADINGS = ("", "id", "title", "price", "rung", "reason")
WIDEST = 44


class Command(BaseCommand):
    help = "Show what a person would be recommended now, and why."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("user", help="user id")
        parser.add_argument("-n", type=int, default=10, help="how many (default 10)")
        parser.add_argument("--strategy", default="personal", choices=serve.STRATEGIES)
        parser.add_argument("--catalog", default="default")
        parser.add_argument("--item", default="", help="for the strategies similar and next")

    def handle(
        self,
        *args: Any,
        user: str,
        n: int,
        strategy: str,
        catalog: str,
        item: str,
        **options: Any,
    ) -> None:
        profile_id = identity.find_profile_id(user_id=user)
        if profile_id is None:
            raise CommandError(f"There is no profile with the user id {user!r}.")
        who = serve.Who(profile_id, activity.recent(profile_id, user_id=user))
        try:
            found = serve.recommend(
                [who], catalog=catalog, n=n, strategy=strategy, item=item, now=clock.now()
            )
        except EngageError as exc:
            raise CommandError(exc.message) from exc
        self.show(found[0], snapshot.current(catalog))

    def show(self, found: serve.Filled, products: snapshot.Snapshot) -> None:
        rows = [HEADINGS]
        for pick in found.picks:
            card = products.card(pick.row)
            price = f"{card['price']} {card['currency']}".strip() if card["price"] else ""
            name = card["name"] or ""
            rows.append((str(pick.rank), pick.item, name, price, pick.rung, pick.reason))
        widths = [max(width(cut(row[k])) for row in rows) for k in range(len(HEADINGS))]
        for row in rows:
            cells = (pad(cut(cell), size) for cell, size in zip(row, widths, strict=True))
            self.stdout.write("  ".join(cells).rstrip())
        if found.short:
            self.stdout.write(f"Only {len(found.picks)}: nothing else may be shown.")


def cut(text: str) -> str:
    """Short enough for a column, and without what would break the line."""
    plain = "".join(letter if letter.isprintable() else " " for letter in text)
    return plain if len(plain) <= WIDEST else plain[: WIDEST - 1] + "…"


def width(text: str) -> int:
    """Columns on a terminal: wide letters take two."""
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)


def pad(text: str, size: int) -> str:
    return text + " " * (size - width(text))
