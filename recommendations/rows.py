"""A page of rows for one person: each row an idea, why it is there, and products that fit it.

The rule: every idea that has evidence brings a list of what may be shown. The page is filled from
the top; each time the idea that fits best gets the next row and its products are gone for the
others. How well an idea fits is the sum of two numbers between 0 and 1:

* how much of the person's taste it holds: the personal scores of its products, as a share of those
  of the products that fit the person best of all;
* how fresh its evidence is: a half after a week, a quarter after two. What rests on everybody has
  none.

Of equals the earlier one of `IDEAS` comes first. So somebody unknown gets trending, best sellers
and new arrivals, in this order. Rows with too few products are left out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from catalog.filters import Filter
from engage.lib.errors import InvalidInput
from recommendations import context as contexts
from recommendations import serve, shelf
from recommendations.persons import Who, meet
from recommendations.row_ideas import IDEAS, Idea, Page, fade
from recommendations.serve import Context, Filled, Pick

MOST_ROWS: Final = 20
MOST_ITEMS: Final = 50  # of a row


@dataclass(frozen=True, slots=True)
class Row:
    kind: str
    title: str
    why: str
    evidence: Mapping[str, Any]
    fit: float
    filled: Filled

    @property
    def picks(self) -> list[Pick]:
        return self.filled.picks


def assemble(
    who: Who,
    *,
    catalog: str = "default",
    rows: int = 6,
    n: int = 10,
    filter: Filter | None = None,
    context: Context | None = None,
    now: datetime,
) -> list[Row]:
    """At most `rows` rows of at most `n` products for one person, the best row first.

    `context` has what the filter may refer to; the trigger is what was touched last. What they
    bought in the last year stands in "buy again" only, when it is due. No product stands twice on
    the page, nor two variants of one.

    Raises
    ------
    InvalidInput
        For a number of rows or products that is out of its bounds.
    """
    for name, value, most in (("rows", rows, MOST_ROWS), ("n", n, MOST_ITEMS)):
        if not 1 <= value <= most:
            raise InvalidInput(f"{name} is {value}, expected 1 to {most}.")
    here = shelf.current(catalog)
    people = meet([who], here, exclude_events=serve.DEFAULT_EXCLUDE_EVENTS, now=now)
    about = None if context is None else [context]
    people[0].attributes = {} if context is None else context.profile
    triggers = contexts.find_triggers(people, here, contexts=about, seed=None)
    [(choice, [person])] = contexts.split(filter, people, here, triggers=triggers, contexts=about)
    page = Page(who, person, here, choice, catalog, rows * n, n, now)
    return fill([idea for make in IDEAS for idea in make(page)], page, rows=rows)


def fill(ideas: Sequence[Idea], page: Page, *, rows: int) -> list[Row]:
    """Again and again the idea that fits best with the products that are left."""
    found: list[Row] = []
    shown: set[int] = set()
    left = list(ideas)
    while left and len(found) < rows:
        best: Row | None = None
        kept = []
        for idea in left:
            picks = [pick for pick in idea.picks if pick.row not in shown][: page.n]
            if len(picks) < page.least:
                continue  # nothing comes back, so it will never have more
            kept.append(idea)
            fit = measure(picks, idea.ts_ms, page)
            if best is None or fit > best.fit:
                best, chosen = write(idea, picks, fit, page), idea
        if best is None:
            break
        found.append(best)
        shown |= page.here.widen({pick.row for pick in best.picks})
        left = [idea for idea in kept if idea is not chosen]
    return found


def measure(picks: Sequence[Pick], ts_ms: int | None, page: Page) -> float:
    """How well a row fits, see the rule above; 0 to 2."""
    best = sum(pick.score for pick in page.taste[: page.n])
    held = sum(page.score_of.get(pick.row, 0.0) for pick in picks)
    taste = held / best if best else 0.0
    return taste + (0.0 if ts_ms is None else fade(page.now_ms - ts_ms))


def write(idea: Idea, picks: Sequence[Pick], fit: float, page: Page) -> Row:
    ranked = [pick._replace(rank=rank, rung=idea.kind) for rank, pick in enumerate(picks, start=1)]
    filled = Filled(ranked, len(ranked) < page.n, page.person.filter)
    return Row(idea.kind, idea.title, idea.why, idea.evidence, fit, filled)
