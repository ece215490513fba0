"""What is wrong with a slot, as sentences: in itself, and against the catalog as it is now."""

from collections.abc import Collection, Iterator, Mapping

from campaigns.errors import Problem
from campaigns.models import Slot, Template
from campaigns.slots import RUNGS, list_wishes, read_filter, read_ranking
from catalog import filters
from catalog.columns import COMMON
from catalog.errors import InvalidFilter
from catalog.errors import Problem as CatalogProblem
from catalog.models import Catalog
from recommendations import policy
from recommendations.context import ROOTS, list_strangers
from recommendations.errors import InvalidRanking


def check(slot: Slot) -> Iterator[Problem]:
    """What is wrong with a slot, as sentences; nothing is looked up."""
    place = f"slot {slot.name}"
    yield from _check_filter(slot.filter or {}, place)
    if not _list_of(slot.ladder, RUNGS):
        yield Problem(f"{place}, ladder", f"expected a list of: {', '.join(RUNGS)}")
    if not isinstance(slot.exclude_events, Mapping) or not all(
        isinstance(days, int) and not isinstance(days, bool) and 1 <= days <= 3_650
        for days in slot.exclude_events.values()
    ):
        yield Problem(f"{place}, exclude_events", 'expected {"Order Completed": 365}, in days')
    for problem in check_ranking(slot):
        yield Problem(f"{place}, {problem.path}", problem.message)
    if slot.minimum > slot.maximum:
        yield Problem(f"{place}, minimum", "is above the maximum")


def _check_filter(data: object, place: str) -> Iterator[Problem]:
    try:
        rule = filters.parse(data)
    except InvalidFilter as exc:
        yield from (
            Problem(f"{place}, {problem.path}", problem.message) for problem in exc.problems
        )
        return
    for path in list_strangers(rule):
        about = f"there is no context “{path}”: it begins with {', '.join(ROOTS)}"
        yield Problem(f"{place}, filter", about)


def check_ranking(slot: Slot) -> Iterator[Problem]:
    """What cannot be meant; each path begins with a field of the slot."""
    if not isinstance(slot.explore, int) or not 0 <= slot.explore <= 50:
        yield Problem("explore", "expected a whole number from 0 to 50, in percent")
    if not isinstance(slot.variety, int) or not 0 <= slot.variety <= 100:
        yield Problem("variety", "expected a whole number from 0 to 100, in percent")
        return
    try:
        ranking = policy.parse(list_wishes(slot))
    except InvalidRanking as exc:
        yield from (
            Problem(one.path.removeprefix("fatigue."), one.message) for one in exc.problems
        )
        return
    for number, _ in ranking.pins if ranking else ():
        if number > slot.maximum:
            yield Problem("pins", f"place {number} is beyond the maximum of {slot.maximum}")


def check_catalogs(template: Template) -> Iterator[Problem]:
    """What its saved slots ask of catalogs that do not have it now: columns and products."""
    catalogs = {catalog.name: catalog for catalog in Catalog.objects.all()}
    for slot in template.slots.order_by("pk"):
        catalog = catalogs.get(slot.catalog)
        if catalog is None:
            yield Problem(f"slot {slot.name}, catalog", f"there is no catalog “{slot.catalog}”")
        elif not list(check(slot)):  # what cannot be read is told elsewhere
            for problem in _list_misfits(slot, catalog):
                yield Problem(f"slot {slot.name}, {problem.path}", problem.message)


def _list_misfits(slot: Slot, catalog: Catalog) -> Iterator[CatalogProblem]:
    types = {**catalog.columns, **COMMON}
    rule, ranking = read_filter(slot), read_ranking(slot)
    if rule is not None:
        yield from rule.list_misfits(types)
        for reference in sorted(rule.references):
            root, _, column = reference.partition(".")
            if root == "trigger" and column not in types:
                yield CatalogProblem("filter", f"the catalog has no column “{column}”")
    if ranking is not None:
        pinned = catalog.products.filter(
            item_id__in=[item for _, item in ranking.pins], deleted_at=None
        )
        known = set(pinned.values_list("item_id", flat=True))
        yield from policy.list_misfits(ranking, types=types, known=known)


def _list_of(value: object, allowed: Collection[str]) -> bool:
    return isinstance(value, list) and all(one in allowed for one in value)
