"""What a filter may refer to, person by person: the trigger, the event and the profile.

    {"column": "category", "op": "=", "value": {"context": "trigger.category"}}
    {"column": "price", "op": "<=", "value": {"context": "trigger.price", "times": 1.2}}
    {"column": "size", "op": "=", "value": {"context": "profile.shoe_size"}}

The trigger is a product: the one asked about, else those of the event that sends the message, else
the one touched last. Of several products the first that the catalog has gives the values.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from catalog.filters import Filter
from recommendations.persons import Person
from recommendations.shelf import Choice, Shelf

logger = logging.getLogger(__name__)
ROOTS: Final = ("trigger", "event", "profile")


class Context(NamedTuple):
    """What is known of the occasion."""

    items: Sequence[str] = ()  # products of the event that sends the message
    event: Mapping[str, Any] = {}  # its properties
    profile: Mapping[str, Any] = {}  # the person's attributes


def list_strangers(filter: Filter) -> list[str]:
    """The references that name nothing we could know, such as "basket.total"."""
    return sorted(path for path in filter.references if path.partition(".")[0] not in ROOTS)


def find_triggers(
    people: Sequence[Person],
    here: Shelf,
    *,
    contexts: Sequence[Context] | None,
    seed: int | None,
) -> list[list[int]]:
    """The rows of each person's trigger; an event about products we do not have has none."""
    if seed is not None:
        return [[seed]] * len(people)
    if contexts is None:
        return [person.recent[:1] for person in people]
    index = here.products.index
    return [
        [index[item] for item in one.items if item in index] if one.items else person.recent[:1]
        for person, one in zip(people, contexts, strict=True)
    ]


def split(
    filter: Filter | None,
    people: list[Person],
    here: Shelf,
    *,
    triggers: Sequence[Sequence[int]],
    contexts: Sequence[Context] | None,
) -> Iterator[tuple[Choice, list[Person]]]:
    """People with the same values in the filter together, each with what they may be shown."""
    if filter is None or not filter.references:
        yield here.choice(filter), people
        return
    columns = list_columns(filter, here)
    together: dict[Filter, list[Person]] = {}
    for number, (person, rows) in enumerate(zip(people, triggers, strict=True)):
        own = contexts[number] if contexts is not None else Context()
        trigger = {name: here.products.column(name).value(rows[0]) for name in columns if rows}
        values = {"trigger": trigger, "event": own.event, "profile": own.profile}
        person.filter = filter.resolve(values)
        together.setdefault(person.filter, []).append(person)
    for resolved, same in together.items():
        yield here.choice(resolved, relative=True), same


def list_columns(filter: Filter, here: Shelf) -> list[str]:
    """The columns of the trigger that the filter refers to, as far as the catalog has them."""
    parts = [path.partition(".") for path in sorted(filter.references)]
    named = [column for root, _, column in parts if root == "trigger"]
    unknown = [column for column in named if column not in here.products.types]
    if unknown:
        facts = {"catalog": here.products.name, "columns": unknown}
        logger.warning("filter refers to columns the catalog lacks", extra=facts)
    return [column for column in named if column in here.products.types]
