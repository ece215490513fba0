"""Between builds: what people did since is folded into the live lists, within a minute.

The numbers are `algorithms/folding`; here is where events come from and where the patch goes. One
fold of a catalog runs at a time, beside builds. It may be killed at any moment: the build's row
names the patch that counts, and it is written before the row is, under a name that no other has.
"""

import logging
import shutil
import time
import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import numpy as np
from django.conf import settings
from django.db import connection
from numpy.typing import NDArray

from catalog import snapshot
from catalog.errors import UnknownCatalog
from engage.lib import locks
from engage.profiles import history
from recommendations import interactions, patch, registry
from recommendations.algorithms.correlation import NOTHING
from recommendations.algorithms.folding import MOST_WORK, Counted, Folded, fold, mark_rows
from recommendations.algorithms.lists import Lists
from recommendations.algorithms.log import Events
from recommendations.algorithms.model import Mixture, mix
from recommendations.algorithms.popularity import Popularity
from recommendations.algorithms.readings import COUNTED, Machine
from recommendations.algorithms.recipe import Recipe, recipe_from
from recommendations.artifact import Artifact
from recommendations.interactions import SALE_WEIGHT
from recommendations.models import Build

logger = logging.getLogger(__name__)
MOST_ROWS: Final = 20_000  # of a patch, some 2,600 bytes each; a build is due then


@dataclass(frozen=True, slots=True, eq=False)
class Present:
    """Everything there is now, in two numberings.

    Items have the *numbers* of the live artifact, newcomers behind them. They are counted by
    *rank*, the order of their ids: so ties and steps at one moment fall as in a build.
    """

    events: Events  # by rank
    marks: NDArray[np.uint64]  # by rank, made of the numbers, which newcomers do not move
    item_ids: list[str]  # by number
    rank: NDArray[np.int64]  # of each number
    number: NDArray[np.int64]  # of each rank


def run(catalog: str, *, now: datetime) -> dict[str, Any]:
    """Bring the live lists of a catalog up to date; the facts that the build's row has of it.

    Safe to run twice: what is folded already changes nothing. Empty where there is nothing to do:
    no live build, nothing new, a full patch, or another fold at work.
    """
    with connection.cursor() as cursor:
        name = f"recommendations: fold {catalog}"
        if not locks.try_hold_session(cursor, name):
            return {}
        try:
            return fold_in(catalog, now=now)
        finally:
            locks.release_session(cursor, name)


def fold_in(catalog: str, *, now: datetime) -> dict[str, Any]:
    build = Build.objects.filter(catalog=catalog, state=Build.State.LIVE).first()
    model = registry.live(catalog)
    if build is None or model is None or model.build_id != build.pk:
        return {}
    if build.patch_facts.get("full"):
        return {}  # all of the work would be thrown away again
    started = time.perf_counter()
    try:
        seen = look(catalog)
    except UnknownCatalog:
        return {}
    if build.patch_facts.get("seen") == seen and is_laid_over(build, model):
        return {}
    present = read(catalog, model)
    recipe = recipe_from(model.facts["parameters"])
    before = counted_of(model).widened(len(present.item_ids)).take(present.number)
    machine = Machine(threads=settings.BUILD_THREADS)
    folded = fold(present.events, present.marks, before, recipe, machine, most_work=MOST_WORK)
    former = build.patch
    if folded is None:
        if not is_laid_over(build, model):
            build.patch = build.patch_checksum = ""  # damaged, and what was in it is gone again
        save(build, former=former, facts=build.patch_facts | {"seen": seen})
        return {}
    arrays = merged(arrays_of(model, present, folded, recipe), model)
    rows = int(arrays["row_numbers"].size)
    if rows > MOST_ROWS:
        save(build, former=former, facts=build.patch_facts | {"seen": seen, "full": True})
        return dict(build.patch_facts)
    write(build, arrays, newcomers=present.item_ids[len((model.base or model).item_ids) :])
    facts = {
        # While rows wait there is more to do, though nothing else happens.
        "seen": None if folded.waiting else seen,
        "rows": rows,
        "counted": int(folded.items.size),
        "waiting": folded.waiting,
        "events": len(present.events),
        "seconds": round(time.perf_counter() - started, 3),
    }
    build.patched_at = now
    if save(build, former=former, facts=facts):
        remove_others(build, former=former)
    logger.info("folded", extra={"build_id": build.pk, **facts})
    return facts


def is_laid_over(build: Build, model: Artifact) -> bool:
    """Whether the patch of the row is whole; a damaged one is made anew, come what may."""
    return not build.patch or model.base is not None


def look(catalog: str) -> list[Any]:
    """What tells at little cost that something may have happened."""
    manifest = history.open_history().manifest()
    products = snapshot.current(catalog)
    return [
        *(manifest.database, manifest.generation, manifest.rows),
        *(products.catalog_id, products.version),
        *history.sum_redirects(),
    ]


def read(catalog: str, model: Artifact) -> Present:
    """The events about products that the artifact or the catalog has."""
    known = {item_id: number for number, item_id in enumerate(model.item_ids)}
    coming = [item_id for item_id in snapshot.current(catalog).ids if item_id not in known]
    every = [*model.item_ids, *coming]
    events = interactions.read_events({item_id: n for n, item_id in enumerate(every)})
    met = np.bincount(events.item, minlength=len(every)) > 0
    met[: len(known)] = True
    item_ids = [item_id for item_id, wanted in zip(every, met.tolist(), strict=True) if wanted]
    number = np.array(sorted(range(len(item_ids)), key=item_ids.__getitem__), np.int64)
    rank = np.empty(number.size, np.int64)
    rank[number] = np.arange(number.size)
    numbered = renumbered(events, np.cumsum(met) - 1, n_items=number.size)
    return Present(
        renumbered(numbered, rank, n_items=number.size),
        mark_rows(numbered)[number],
        item_ids,
        rank,
        number,
    )


def renumbered(events: Events, new: NDArray[np.int64], *, n_items: int) -> Events:
    item = new[events.item].astype(np.int32)
    return Events(events.profile, item, events.weight, events.ts_ms, n_items)


def counted_of(model: Artifact) -> Counted:
    arrays = model.arrays
    return Counted(arrays["marks"], arrays["similar_met"], arrays["next_met"])


def arrays_of(
    model: Artifact, present: Present, folded: Folded, recipe: Recipe
) -> dict[str, NDArray[Any]]:
    """The arrays of a patch with the rows that were counted now, by number."""
    numbers = present.number[folded.items]
    order = np.argsort(numbers)
    numbers = numbers[order]
    lists = {
        name: Lists(
            np.append(present.number, NOTHING)[one.neighbours[order]].astype(np.int32),
            one.scores[order],
        )
        for name, one in (("next", folded.next), ("similar", folded.similar))
    }
    popularity = popularity_of(present, recipe)
    personal = mixture_of(
        model, numbers, lists, boost=popularity.rise_[present.rank], recipe=recipe
    )
    return {
        "row_numbers": numbers.astype(np.int32),
        "personal_items": personal.neighbours,
        "personal_scores": personal.strength,
        "personal_sources": personal.loudest,
        **{f"{name}_items": one.neighbours for name, one in lists.items()},
        **{f"{name}_scores": one.scores for name, one in lists.items()},
        "sales": popularity.sales_[present.rank],
        "trend": popularity.trend_[present.rank],
        "occurrences": np.bincount(present.events.item, minlength=present.rank.size)[present.rank],
        "marks": folded.counted.marks[present.rank],
        "similar_met": folded.counted.similar[present.rank],
        "next_met": folded.counted.next[present.rank],
    }


def popularity_of(present: Present, recipe: Recipe) -> Popularity:
    return Popularity(
        half_life_days=recipe.half_life_days,
        window_days=recipe.window_days,
        tilt=recipe.tilt,
        sale_weight=SALE_WEIGHT,
    ).fit(present.events)


def mixture_of(
    model: Artifact,
    numbers: NDArray[np.int64],
    lists: dict[str, Lists],
    *,
    boost: NDArray[np.float64],
    recipe: Recipe,
) -> Mixture:
    """New rows of what people are served from: counted now, beside what was learned then."""
    base = model.base or model
    known = numbers < len(base.item_ids)
    sources = []
    for name in model.facts["sources"]:
        if name in COUNTED:
            sources.append(lists[name])
            continue
        neighbours, scores = base.reading(name)
        learned = Lists(
            np.full((numbers.size, neighbours.shape[1]), NOTHING, np.int32),
            np.zeros((numbers.size, neighbours.shape[1]), np.float32),
        )
        learned.neighbours[known] = neighbours[numbers[known]]
        learned.scores[known] = scores[numbers[known]]
        sources.append(learned)
    return mix(sources, model.facts["scales"], boost=boost**recipe.personal_tilt)


def merged(arrays: dict[str, NDArray[Any]], model: Artifact) -> dict[str, NDArray[Any]]:
    """With the rows of the patch before that were not counted again.

    Every newcomer gets a row, an empty one as long as its own waits.
    """
    fresh, n_base = arrays["row_numbers"], len((model.base or model).item_ids)
    old = np.setdiff1d(np.flatnonzero(model.where >= 0), fresh)
    late = np.setdiff1d(np.arange(n_base, arrays["sales"].size), np.append(fresh, old))
    numbers = np.concatenate([fresh, old, late]).astype(np.int32)
    order = np.argsort(numbers)
    rows = {}
    for name in patch.ROWS:
        parts = [arrays[name]]
        if old.size:
            parts.append(model.rows[name][model.where[old]])
        empty = NOTHING if name.endswith("_items") else 0
        parts.append(np.full((late.size, arrays[name].shape[1]), empty, arrays[name].dtype))
        rows[name] = np.concatenate(parts)[order]
    return {**arrays, "row_numbers": numbers[order], **rows}


def write(build: Build, arrays: dict[str, NDArray[Any]], *, newcomers: list[str]) -> None:
    """The files of a new patch, and its name and checksum in the row, which is not saved yet."""
    # Never a name that was there before: whoever lost the lock with its connection, and works on,
    # must not write over what the row of another fold names.
    build.patch = f"{build.artifact}/{uuid.uuid4().hex}"
    place = registry.patches_dir() / build.patch
    build.patch_checksum = patch.write(place, arrays, newcomers=newcomers, build_id=build.pk)


def save(build: Build, *, former: str, facts: dict[str, Any]) -> bool:
    """Into the row, unless another build or another patch took its place meanwhile."""
    build.patch_facts = facts
    saved = Build.objects.filter(pk=build.pk, state=Build.State.LIVE, patch=former).update(
        patch=build.patch,
        patch_checksum=build.patch_checksum,
        patch_facts=facts,
        patched_at=build.patched_at,
    )
    registry.forget()
    return bool(saved)


def remove_others(build: Build, *, former: str) -> None:
    """Older patches and what killed folds left; the former one may still be read by somebody."""
    kept = {registry.patches_dir() / name for name in (build.patch, former)}
    for place in (registry.patches_dir() / build.artifact).iterdir():
        if place not in kept:
            shutil.rmtree(place, ignore_errors=True)
