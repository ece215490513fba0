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
    """What is wrong with a slot in itself; nothing is looked up."""
    for problem in check_fields(slot):
        yield Problem(f"slot {slot.name}, {problem.path}", problem.message)


def check_fields(slot: Slot) -> Iterator[Problem]:
    """The same for its form: each path begins with a field of the slot."""
    yield from _check_filter(slot.filter)
    if not _list_of(slot.ladder, RUNGS):
        yield Problem("ladder", f"expected a list of: {', '.join(RUNGS)}")
    if not isinstance(slot.exclude_events, Mapping) or not all(
        isinstance(days, int) and not isinstance(days, bool) and 1 <= days <= 3_650
        for days in slot.exclude_events.values()
    ):
        yield Problem("exclude_events", 'expected {"Order Completed": 365}, in days')
    yield from _check_ranking(slot)
    if slot.minimum > slot.maximum:
        yield Problem("minimum", "is above the maximum")


def _check_filter(data: object) -> Iterator[Problem]:
    try:
        rule = filters.parse(data)
    except InvalidFilter as exc:
        yield from (Problem(problem.path, problem.message) for problem in exc.problems)
        return
    for path in list_strangers(rule):
        about = f"there is no context “{path}”: it begins with {', '.join(ROOTS)}"
        yield Problem("filter", about)


def _check_ranking(slot: Slot) -> Iterator[Problem]:
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
