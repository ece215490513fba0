"""The demo shop: 96 products and the last 45 days of 500 people. Same seed, same shop."""

import csv
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np

SEED = 20261121
PEOPLE = 500
DAYS = 45
CATALOG = "default"

KINDS: dict[str, tuple[tuple[str, ...], tuple[str, ...], int]] = {  # adjectives, nouns, base price
    "Coffee": (("Morning", "Harbour", "Velvet", "Smoky"), ("beans", "espresso", "filter"), 11),
    "Tea": (("Jade", "Meadow", "Amber", "Winter"), ("green tea", "herbal tea", "chai"), 8),
    "Kitchen": (("Iron", "Copper", "Oak", "Stone"), ("pan", "board", "mortar"), 39),
    "Garden": (("Sturdy", "Light", "Folding", "Long"), ("spade", "trowel", "shears"), 24),
    "Running": (("Swift", "Trail", "Cloud", "Dawn"), ("shoes", "jacket", "belt"), 79),
    "Books": (("Quiet", "Northern", "Hidden", "Second"), ("novel", "atlas", "essays"), 18),
    "Music": (
        ("Warm", "Pocket", "Studio", "Vintage"),
        ("speaker", "headphones", "turntable"),
        119,
    ),
    "Toys": (("Wooden", "Clever", "Tiny", "Giant"), ("blocks", "puzzle", "kite"), 21),
}
FIRST_NAMES = ("Ana", "Bo", "Chen", "Dee", "Emre", "Fatou", "Gil", "Hana", "Ivo", "Jun")
COUNTRIES = ("DE", "FR", "ES", "PL", "NL")


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody of the demo shop; the address ends in a domain that can get no mail."""

    user_id: str
    first_name: str
    country: str
    favourites: tuple[str, str]
    email_consent: bool
    push_token: str  # "": no phone

    @property
    def email(self) -> str:
        return f"{self.user_id}@demo.example"


def products(image_base: str) -> list[dict[str, str]]:
    """The catalog's rows, ready for a CSV file."""
    rng = np.random.default_rng(SEED)
    rows = []
    for category, (adjectives, nouns, base) in KINDS.items():
        for number in range(12):
            item_id = f"{category.lower()}-{number + 1:02d}"
            name = f"{adjectives[number % 4]} {nouns[number // 4]}"
            rows.append(
                {
                    "id": item_id,
                    "name": name,
                    "category": category,
                    "price": f"{base * rng.uniform(0.7, 1.6):.2f}",
                    "currency": "EUR",
                    "image_url": f"{image_base}/{category.lower()}.svg",
                    "url": f"https://shop.example/{item_id}",
                    "in_stock": "true",
                    "group_id": "",
                    "brand": f"{adjectives[number % 4]} & Co",
                    "rating": f"{rng.uniform(3.2, 5.0):.1f}",
                }
            )
    return rows


def people() -> list[Person]:
    rng = np.random.default_rng(SEED + 1)
    categories = list(KINDS)
    return [
        Person(
            user_id=f"shopper-{number:03d}",
            first_name=FIRST_NAMES[number % len(FIRST_NAMES)],
            country=COUNTRIES[int(rng.integers(len(COUNTRIES)))],
            favourites=tuple(rng.choice(categories, size=2, replace=False)),
            email_consent=bool(rng.random() < 0.8),
            push_token=f"demo-token-{number:03d}" if rng.random() < 0.5 else "",
        )
        for number in range(PEOPLE)
    ]


def history(
    shoppers: list[Person], catalog: list[dict[str, str]], *, until: datetime
) -> list[dict[str, str]]:
    """What everybody did in the DAYS before `until`, in order of time, as rows for `load_events`.

    People look mostly at their two favourite categories, and at popular products more often.
    """
    rng = np.random.default_rng(SEED + 2)
    by_category: dict[str, list[dict[str, str]]] = {}
    for row in catalog:
        by_category.setdefault(row["category"], []).append(row)
    popularity = 1 / np.arange(1, 13) ** 0.7
    popularity /= popularity.sum()
    rows: list[dict[str, str]] = []
    for person in shoppers:
        for visit in range(int(rng.poisson(3.5)) + 1):
            at = until - timedelta(days=float(rng.uniform(0.1, DAYS)))
            for _ in range(int(rng.integers(2, 8))):
                at += timedelta(seconds=float(rng.exponential(45)))
                favourite = person.favourites[int(rng.random() < 0.35)]
                category = favourite if rng.random() < 0.85 else str(rng.choice(list(KINDS)))
                product = by_category[category][int(rng.choice(12, p=popularity))]
                rows.append(_row(person, product, "view", at))
                if rng.random() < 0.25:
                    rows.append(_row(person, product, "cart", at + timedelta(seconds=8)))
                    if rng.random() < 0.45:
                        order = f"o-{person.user_id}-{visit}"
                        rows.append(
                            _row(person, product, "purchase", at + timedelta(seconds=60), order)
                        )
    return sorted(rows, key=lambda row: row["ts"])


def write_csv(path: Path, rows: list[dict[str, str]]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def _row(
    person: Person, product: dict[str, str], event: str, at: datetime, order: str = ""
) -> dict[str, str]:
    return {
        "user": person.user_id,
        "item": product["id"],
        "event": event,
        "ts": at.isoformat(timespec="milliseconds"),
        "order": order,
        "quantity": "1" if order else "",
        "price": product["price"] if order else "",
    }
