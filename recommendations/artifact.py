"""A model as files: which arrays it has, what must be true of them, and how they are read.

The files themselves are `array_files`: nothing of them is believed that was not proved.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from recommendations.algorithms.ranking import NOTHING_NEWER, Newer
from recommendations.algorithms.visits import LONGEST_VISIT, Visits
from recommendations.algorithms.words import WordIndex
from recommendations.array_files import Kind, Stamp, read_folder, stamp_of, write_folder

VISITS: Final = "visit_{}"  # by field

# What a model must have.
ARRAYS: Final[Mapping[str, Kind]] = {
    "item_text": ("|u1", ("text",)),  # the item ids, in order, as UTF-8 end to end
    "item_start": ("<i8", ("items + 1",)),
    "personal_items": ("<i4", ("items", "top")),
    "personal_scores": ("<f4", ("items", "top")),
    "personal_sources": ("|u1", ("items", "top")),  # places in facts["sources"]
    "sales": ("<i8", ("items",)),
    "trend": ("<f8", ("items",)),
    "occurrences": ("<i8", ("items",)),
    "again": ("<f4", ("items",)),
    "marks": ("<u8", ("items",)),  # these three: what events are folded into its lists from
    "similar_met": ("<i8", ("items",)),
    "next_met": ("<i8", ("items",)),
    "visit_bounds": ("<i8", ("visits + 1",)),
    "visit_items": ("<i4", ("steps",)),
    "visit_weight": ("<f8", ("visits",)),
    "visit_item_bounds": ("<i8", ("items + 1",)),
    "visit_visit": ("<i4", ("mentions",)),
    "visit_step": ("<i4", ("mentions",)),
    "visit_rarity": ("<f8", ("items",)),
    "visit_target": ("<f8", ("items",)),
    "people_items": ("<i4", ("candidates",)),  # these two: see algorithms.demographics
    "people_lift": ("<f4", ("kinds of people", "candidates")),
    "word_hashes": ("<u8", ("words",)),
    "word_starts": ("<i8", ("words + 1",)),
    "word_items": ("<i4", ("pairs",)),
    "word_worth": ("<f4", ("words",)),
    "word_lengths": ("<f4", ("items",)),
    "word_item_starts": ("<i8", ("items + 1",)),
    "word_words": ("<i4", ("pairs",)),
}
# And of each reading that facts["readings"] names.
LISTS: Final[Mapping[str, Kind]] = {
    "{}_items": ("<i4", ("items", "top")),
    "{}_scores": ("<f4", ("items", "top")),
}
Readings = tuple[NDArray[np.int32], NDArray[np.float32]]


@dataclass(frozen=True, eq=False)
class Artifact:
    """A loaded model. Nobody writes into its arrays.

    One that events were folded into (see `patch`) has further items, arrays of all items that are
    newer, and rows that stand in for those of its lists.
    """

    build_id: int
    item_ids: list[str]
    arrays: Mapping[str, NDArray[Any]]
    facts: Mapping[str, Any]  # whatever the build wrote beside the arrays
    stamps: Mapping[Path, Stamp]  # of the files of each folder, when they were proved
    base: "Artifact | None" = None  # as it was built
    # Place in `rows` of each item's newer rows, -1 for none; empty without a patch.
    where: NDArray[np.int32] = field(default_factory=lambda: NOTHING_NEWER.where)
    rows: Mapping[str, NDArray[Any]] = field(default_factory=dict)

    def reading(self, name: str) -> Readings:
        """Neighbours and strengths: "personal", "similar", "next" or another reading it has."""
        return self.arrays[f"{name}_items"], self.arrays[f"{name}_scores"]

    def newer(self, name: str) -> Newer:
        """The rows of a reading that stand in for its old ones."""
        if not self.where.size:
            return NOTHING_NEWER
        return Newer(self.where, self.rows[f"{name}_items"], self.rows[f"{name}_scores"])

    def neighbours(self, name: str, number: int) -> list[int]:
        """The row of one item, best first, padded with -1."""
        row = self.where[number] if self.where.size else -1
        if row >= 0:
            return list(self.rows[f"{name}_items"][row].tolist())
        return list(self.arrays[f"{name}_items"][number].tolist())

    def source(self, number: int, place: int) -> str:
        """Which reading says most for the neighbour at this place of an item's personal list."""
        row = self.where[number] if self.where.size else -1
        found = self.rows["personal_sources"][row] if row >= 0 else self._sources[number]
        name: str = self.facts["sources"][found[place]]
        return name

    def source_places(
        self, numbers: NDArray[np.int32], places: NDArray[np.int32]
    ) -> NDArray[np.uint8]:
        """As `source`, for many: places in facts["sources"]."""
        found: NDArray[np.uint8] = self._sources[numbers, places]
        row = self.where[numbers] if self.where.size else None
        if row is not None and (row >= 0).any():
            found = np.where(row >= 0, self.rows["personal_sources"][row, places], found)
        return found

    @property
    def _sources(self) -> NDArray[np.uint8]:
        found: NDArray[np.uint8] = self.arrays["personal_sources"]
        return found

    @cached_property
    def visits(self) -> Visits:
        """For people with a short history; empty where the build gave them no weight."""
        names = (field.name for field in dataclasses.fields(Visits))
        return Visits(**{name: self.arrays[VISITS.format(name)] for name in names})

    @property
    def words(self) -> WordIndex:
        """The descriptions of its items."""
        arrays = self.arrays
        return WordIndex(
            arrays["word_hashes"],
            arrays["word_starts"],
            arrays["word_items"],
            arrays["word_worth"],
            arrays["word_lengths"],
            arrays["word_item_starts"],
            arrays["word_words"],
        )

    def is_unchanged(self) -> bool:
        """Whether the mapped files are still those that were proved; costs no reading."""
        try:
            return all(stamp_of(folder) == stamp for folder, stamp in self.stamps.items())
        except OSError:
            return False


def kinds(facts: Mapping[str, Any]) -> dict[str, Kind]:
    """Every array that an artifact with these facts has."""
    readings = [str(name) for name in facts["readings"]]
    more = {name.format(of): kind for of in readings for name, kind in LISTS.items()}
    return {**ARRAYS, **more}


def write(
    folder: Path,
    arrays: Mapping[str, NDArray[Any]],
    *,
    item_ids: list[str],
    facts: Mapping[str, Any],
) -> str:
    """Write a new folder, all or nothing; the checksum of its manifest.

    Raises
    ------
    FileExistsError
        If the folder exists.
    KeyError
        If an array is not one that an artifact with these facts has.
    NotWritten
        If the disk did not take it.
    """
    return write_folder(folder, arrays, kinds(facts), item_ids=item_ids, facts=facts)


def load(folder: Path, *, checksum: str, build_id: int) -> Artifact:
    """Map a model, after proving that every byte is the one that was written.

    Raises
    ------
    DamagedArtifact
        If anything is missing, shorter, longer or different.
    """
    stamp, arrays, item_ids, facts = read_folder(folder, kinds, check_numbers, checksum=checksum)
    return Artifact(build_id, item_ids, arrays, facts, {folder: stamp})


def check_numbers(arrays: Mapping[str, NDArray[Any]], facts: Mapping[str, Any]) -> None:
    """Whoever reads the arrays trusts these numbers."""
    n_items = arrays["sales"].size
    for name in (name for name in arrays if name.endswith("_items")):
        numbers = arrays[name]
        if numbers.size and (numbers.min() < -1 or numbers.max() >= n_items):
            raise ValueError(f"{name} names items that do not exist")
    sources = arrays["personal_sources"]
    if sources.size and sources.max() >= len(facts["sources"]):
        raise ValueError("personal_sources names sources that do not exist")
    check_people(arrays["people_items"], arrays["people_lift"], facts.get("people_alike", {}))
    for bounds, size in (
        ("word_starts", arrays["word_items"].size),
        ("word_item_starts", arrays["word_words"].size),
        ("visit_bounds", arrays["visit_items"].size),
        ("visit_item_bounds", arrays["visit_visit"].size),
    ):
        found = arrays[bounds]
        if found[0] != 0 or found[-1] != size or (np.diff(found) < 0).any():
            raise ValueError(f"{bounds} does not fit its array")
    words = arrays["word_words"]
    if words.size and (words.min() < 0 or words.max() >= arrays["word_hashes"].size):
        raise ValueError("word_words names words that do not exist")
    visit, step = arrays["visit_visit"], arrays["visit_step"]
    lengths = np.diff(arrays["visit_bounds"])
    if visit.size:
        if visit.min() < 0 or visit.max() >= lengths.size:
            raise ValueError("visit_visit names visits that do not exist")
        if step.min() < 0 or (step >= lengths[visit]).any():
            raise ValueError("visit_step names steps that do not exist")
    if (lengths > LONGEST_VISIT).any():
        raise ValueError("visit_bounds has visits that are too long")


def check_people(
    items: NDArray[np.int32], lift: NDArray[np.float32], facts: Mapping[str, Any]
) -> None:
    """Every row of the lift is about one value, every column about an item."""
    values = facts["values"] if facts else {}
    for own in dict(values).values():
        if not (isinstance(own, list) and all(isinstance(value, str) for value in own)):
            raise ValueError("people_alike names values that are no texts")
    if len(lift) != sum(map(len, values.values())):
        raise ValueError("people_lift does not fit the values of people_alike")
    if len(lift) and facts["base"] not in ("sales", "trend"):
        raise ValueError("people_alike names a list that does not exist")
    if items.size and items.min() < 0:
        raise ValueError("people_items names items that do not exist")
    if not (np.isfinite(lift) & (lift > 0)).all():
        raise ValueError("people_lift has a number that is no factor")
