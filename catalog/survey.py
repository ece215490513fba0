"""The first reading of a file: which columns it has, what they stand for, what types they are."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from catalog.columns import ALIASES, COMMON, TYPES, Evidence, assign, plain
from catalog.errors import InvalidFile
from catalog.feed import Feed, RawRow
from catalog.values import PRICE

MOST_ROWS = 10_000_000
PRICES = frozenset({"price", *ALIASES["price"]})
Progress = Callable[[float], None]  # told the share that is done, 0 to 1


@dataclass(frozen=True, slots=True)
class Survey:
    columns: Mapping[str, str]  # as the file names them → as the catalog does
    types: Mapping[str, str]  # of the catalog's own columns that the file has
    common: tuple[str, ...]  # the common columns that the file has, without id

    @property
    def renamed(self) -> dict[str, str]:
        """Columns that came under another name."""
        return {theirs: ours for theirs, ours in self.columns.items() if theirs != ours}


def take_survey(
    feed: Feed,
    *,
    known: Mapping[str, str],
    stated: Mapping[str, str],
    progress: Progress | None = None,
) -> Survey:
    """Read the whole file once.

    Parameters
    ----------
    known : types that the catalog's own columns have; they stay as long as the values fit
    stated : types that somebody asked for; they win

    Raises
    ------
    InvalidFile
        The file cannot be read, lacks id or name, or has no products.
    """
    evidence: dict[str, Evidence] = {}
    skipped = set(COMMON)
    priced: dict[str, bool] = {}  # column that may be the price → it brings a currency along
    first_problem = ""
    for number, raw in enumerate(feed.rows(), start=1):
        if not evidence and not feed.typed:
            skipped = {name for name, ours in assign(raw.cells).items() if ours in COMMON}
        if raw.problem:
            first_problem = first_problem or f"Line {raw.line} {raw.problem.message}."
        else:
            _note(raw, evidence=evidence, priced=priced, skipped=skipped, typed=feed.typed)
        if number > MOST_ROWS:
            raise InvalidFile(f"The file has more than {MOST_ROWS:,} products.")
        if progress and number % 1_000 == 0:
            progress(feed.position / max(feed.size, 1))
    if not evidence:
        raise InvalidFile(f"The file has no products. {first_problem}".strip())
    columns = assign(evidence)
    _check(columns)
    types = {
        ours: stated.get(ours) or evidence[theirs].type(known=known.get(ours))
        for theirs, ours in columns.items()
        if ours not in COMMON
    }
    _check_stated(stated, types)
    present = set(columns.values())
    if any(brought and columns[name] == "price" for name, brought in priced.items()):
        present.add("currency")
    common = tuple(name for name in COMMON if name in present and name != "id")
    return Survey(columns, types, common)


def _note(
    raw: RawRow,
    *,
    evidence: dict[str, Evidence],
    priced: dict[str, bool],
    skipped: set[str],
    typed: bool,
) -> None:
    for name, value in raw.cells.items():
        found = evidence.get(name)
        if found is None:
            found = evidence[name] = Evidence(typed=typed)
            if len(evidence) > 1_000:
                raise InvalidFile(f"Line {raw.line}: the products have more than 1,000 columns.")
            if plain(name) in PRICES:
                priced[name] = False
        if name not in skipped:
            found.add(value)
    for name, brought in priced.items():
        if not brought and isinstance(value := raw.cells.get(name), str):
            amount = PRICE.fullmatch(value)
            priced[name] = bool(amount and amount[2])


def _check(columns: Mapping[str, str]) -> None:
    for needed in ("id", "name"):
        if needed not in columns.values():
            named = ", ".join(f"“{column[:50]}”" for column in list(columns)[:20])
            others = ", ".join(ALIASES[needed])
            raise InvalidFile(
                f"The file has no column “{needed}” (or {others}). Its columns are: {named}."
            )


def _check_stated(stated: Mapping[str, str], types: Mapping[str, str]) -> None:
    for column, kind in stated.items():
        if kind not in TYPES:
            raise InvalidFile(f"Column “{column}”: “{kind}” is none of {', '.join(TYPES)}.")
        if column not in types:
            raise InvalidFile(f"The file has no own column “{column}” to give a type to.")
