"""People with the same country, gender or tier: read for a build, and served from it."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from engage.profiles import people
from recommendations.algorithms.demographics import UNKNOWN, Attribute, score
from recommendations.shelf import Choice, Order

COLD: Final = 3  # people who touched as many products are known by these
SAMPLE: Final = 10_000  # profiles that tell which attributes are worth reading
MOST_ATTRIBUTES: Final = 20
MOST_VALUES: Final = 50
LEAST_KNOWN: Final = 0.2  # of the profiles
LONGEST: Final = 64  # characters; a longer text is no kind of people
# Names of one person, not of a kind of people.
PERSONAL: Final = frozenset({"email", "phone", "first_name", "last_name", "name"})
BATCH: Final = 10_000
KEPT_ORDERS: Final = 256  # per filter: different people with the same values share one
DEPTH: Final = 2_000  # products of each


def read(profile_ids: NDArray[np.int64]) -> list[Attribute]:
    """What tells kinds of people apart: attributes of few values that many of these have.

    Parameters
    ----------
    profile_ids : ndarray of shape (n_profiles,)
        In the order of the profiles' numbers.

    Returns
    -------
    list of Attribute
        At most `MOST_ATTRIBUTES`; the same people give the same list.
    """
    names = find_names(profile_ids)
    if not names:
        return []
    seen: dict[str, dict[str, int]] = {name: {} for name in names}
    codes = {name: np.full(profile_ids.size, UNKNOWN, np.int32) for name in names}
    for start, batch in read_batches(profile_ids):
        for place, attributes in enumerate(batch, start):
            for name, numbers in seen.items():
                value = spell(attributes.get(name))
                if value and len(numbers) <= MOST_VALUES:
                    codes[name][place] = numbers.setdefault(value, len(numbers))
    found = [make_attribute(name, list(seen[name]), codes[name]) for name in names]
    return [one for one in found if is_usable(len(one.values), one.code)]


def find_names(profile_ids: NDArray[np.int64]) -> list[str]:
    """Which attributes may be usable, by a sample of the people."""
    places = np.linspace(0, profile_ids.size - 1, min(profile_ids.size, SAMPLE)).astype(np.int64)
    known: dict[str, int] = {}
    values: dict[str, set[str]] = {}
    for _, batch in read_batches(profile_ids[places]):
        for attributes in batch:
            for name, given in attributes.items():
                value = spell(given)
                if value and name not in PERSONAL:
                    known[name] = known.get(name, 0) + 1
                    some = values.setdefault(name, set())
                    if len(some) <= MOST_VALUES:
                        some.add(value)
    least = LEAST_KNOWN * places.size
    fit = [name for name in known if known[name] >= least and len(values[name]) <= MOST_VALUES]
    return sorted(fit, key=lambda name: (-known[name], name))[:MOST_ATTRIBUTES]


def read_batches(profile_ids: NDArray[np.int64]) -> Iterator[tuple[int, list[dict[str, Any]]]]:
    """Attributes in the order of the ids, and the place of the first; none for who is gone."""
    for start in range(0, profile_ids.size, BATCH):
        ids = profile_ids[start : start + BATCH].tolist()
        found = people.list_attributes(ids)
        yield start, [found.get(profile_id, {}) for profile_id in ids]


def spell(value: object) -> str:
    """A value as one of few, or nothing: numbers, lists and long texts tell no kind of people."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) and len(value) <= LONGEST else ""


def make_attribute(name: str, values: list[str], code: NDArray[np.int32]) -> Attribute:
    """With its values in ascending order, whoever had which first."""
    order = sorted(range(len(values)), key=values.__getitem__)
    place = np.full(len(values) + 1, UNKNOWN, np.int32)  # the last one for -1
    place[order] = np.arange(len(values))
    return Attribute(name, [values[number] for number in order], place[code])


def is_usable(n_values: int, code: NDArray[np.int32]) -> bool:
    known = np.count_nonzero(code != UNKNOWN)
    return 2 <= n_values <= MOST_VALUES and bool(known >= LEAST_KNOWN * code.size)


# --- serving ---------------------------------------------------------------------------------


def facts_of(base: str, values: Mapping[str, list[str]]) -> dict[str, Any]:
    """For the artifact: the popular list that is multiplied, and what each row is about."""
    return {"base": base, "values": dict(values)} if values else {}


def find_rows(facts: Mapping[str, Any], attributes: Mapping[str, Any]) -> tuple[int, ...]:
    """The rows of the lift that are about somebody with these attributes."""
    rows = []
    begin = 0
    for name, values in sorted(facts.get("values", {}).items()):
        value = spell(attributes.get(name))
        if value in values:
            rows.append(begin + values.index(value))
        begin += len(values)
    return tuple(rows)


def find_order(choice: Choice, attributes: Mapping[str, Any]) -> Order | None:
    """What people alike like and may be shown, best first; None where nothing tells."""
    model = choice.shelf.model
    if model is None or not attributes:
        return None
    facts = model.facts.get("people_alike", {})
    rows = find_rows(facts, attributes)
    if not rows:
        return None
    found = choice.people.get(rows)
    if found is None:
        numbers = model.arrays["people_items"]
        at = choice.shelf.row_of[numbers]
        # The popular list as it is now, folded events included; only the lifts are the build's.
        scores = score(model.arrays["people_lift"], model.arrays[facts["base"]][numbers], rows)
        shown = np.flatnonzero((at >= 0) & (scores > 0))
        shown = shown[choice.rows[at[shown]]]
        best = shown[np.lexsort((at[shown], -scores[shown]))][:DEPTH]
        found = at[best], scores[best]
        if len(choice.people) < KEPT_ORDERS:
            choice.people[rows] = found
    return found
