"""A patch: what folding found since a build, as files beside its artifact.

It has rows of the lists that stand in for those of the artifact, products that came after it, and
the arrays of all products that are newer. A damaged patch is passed over: the artifact is served
as it was built.
"""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from recommendations import array_files
from recommendations.array_files import Kind
from recommendations.artifact import Artifact

LISTS: Final = ("personal", "similar", "next")
ROWS: Final[Mapping[str, Kind]] = {
    **{f"{name}_items": ("<i4", ("rows", "top")) for name in LISTS},
    **{f"{name}_scores": ("<f4", ("rows", "top")) for name in LISTS},
    "personal_sources": ("|u1", ("rows", "top")),
}
WHOLE: Final[Mapping[str, Kind]] = {  # these take the place of the artifact's
    "sales": ("<i8", ("items",)),
    "trend": ("<f8", ("items",)),
    "occurrences": ("<i8", ("items",)),
    "marks": ("<u8", ("items",)),
    "similar_met": ("<i8", ("items",)),
    "next_met": ("<i8", ("items",)),
}
KINDS: Final[Mapping[str, Kind]] = {
    "item_text": ("|u1", ("text",)),  # the newcomers
    "item_start": ("<i8", ("newcomers + 1",)),
    "row_numbers": ("<i4", ("rows",)),  # whose rows they are, ascending
    **ROWS,
    **WHOLE,
}


def write(
    folder: Path, arrays: Mapping[str, NDArray[Any]], *, newcomers: list[str], build_id: int
) -> str:
    """Write a new folder, all or nothing; the checksum of its manifest."""
    return array_files.write_folder(
        folder, arrays, KINDS, item_ids=newcomers, facts={"build": build_id}
    )


def apply(base: Artifact, folder: Path, *, checksum: str) -> Artifact:
    """The artifact as the patch makes it.

    Raises
    ------
    DamagedArtifact
        If anything of the patch is missing or different, or it is another build's.
    """
    stamp, arrays, newcomers, _ = array_files.read_folder(
        folder, lambda facts: KINDS, lambda *found: check(base, *found), checksum=checksum
    )
    item_ids = base.item_ids + newcomers
    where = np.full(len(item_ids), -1, np.int32)
    where[arrays["row_numbers"]] = np.arange(arrays["row_numbers"].size)
    return dataclasses.replace(
        base,
        item_ids=item_ids,
        arrays={**base.arrays, **{name: arrays[name] for name in WHOLE}},
        stamps={**base.stamps, folder: stamp},
        base=base,
        where=where,
        rows={name: arrays[name] for name in ROWS},
    )


def check(base: Artifact, arrays: Mapping[str, NDArray[Any]], facts: Mapping[str, Any]) -> None:
    """Whoever reads the arrays trusts these numbers."""
    n_base = len(base.item_ids)
    n_items = n_base + arrays["item_start"].size - 1
    if facts["build"] != base.build_id:
        raise ValueError(f"it is a patch of build {facts['build']}")
    if (
        arrays["sales"].size != n_items
        or arrays["personal_items"].shape[1:] != (base.arrays["personal_items"].shape[1:])
    ):
        raise ValueError("its sizes are not those of its build")
    numbers = arrays["row_numbers"]
    if numbers.size and (numbers.min() < 0 or numbers.max() >= n_items):
        raise ValueError("row_numbers names items that do not exist")
    if (np.diff(numbers) <= 0).any() or not np.isin(np.arange(n_base, n_items), numbers).all():
        raise ValueError("row_numbers are not ascending, or a newcomer has no row")
    for name in LISTS:
        named = arrays[f"{name}_items"]
        if named.size and (named.min() < -1 or named.max() >= n_items):
            raise ValueError(f"{name}_items names items that do not exist")
    sources = arrays["personal_sources"]
    if sources.size and sources.max() >= len(base.facts["sources"]):
        raise ValueError("personal_sources names sources that do not exist")
