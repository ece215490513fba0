"""One training: read, learn, measure on what was held back, compare, publish or refuse.

One build runs at a time. It may be killed at any moment: the live artifact stays, and the next
build closes the books of the killed one.
"""

import dataclasses
import logging
import math
import shutil
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

import numpy as np
from django.conf import settings
from django.db import connection
from numpy.typing import NDArray

from catalog.models import Catalog
from engage.lib import failpoints, locks
from engage.lib.errors import EngageError, NotFound
from recommendations import (
    array_files,
    artifact,
    descriptions,
    interactions,
    people_alike,
    registry,
    threads,
)
from recommendations.algorithms import demographics
from recommendations.algorithms.choosing import choose_recipe
from recommendations.algorithms.choosing_demographics import choose
from recommendations.algorithms.demographics import NOBODY, Attribute, Prior
from recommendations.algorithms.log import Log
from recommendations.algorithms.model import ItemModel, Mixture, evaluate, scales
from recommendations.algorithms.popularity import Popularity, Scores, best_first
from recommendations.algorithms.recipe import Recipe, recipe_from
from recommendations.algorithms.split import Split, hold_out
from recommendations.algorithms.visits import Visits
from recommendations.algorithms.words import WordIndex
from recommendations.artifact import VISITS, Artifact
from recommendations.errors import BuildRunning
from recommendations.interactions import SALE_WEIGHT, Interactions
from recommendations.models import Build
from recommendations.steps import Progress, Tell, Timer, tell_row

logger = logging.getLogger(__name__)
LOCK: Final = "recommendations: build"
KILLED: Final = "The process that ran it ended before the build was done."
GATE: Final = "ndcg@10"
BREADTH: Final = "coverage@20"
MOST_LOST: Final = 0.01  # share of the live build's accuracy
LEAST_BREADTH: Final = 0.5  # of the live build's coverage
LEAST_DATA: Final = 0.5  # of the interactions that the live build learned from
REMEMBERED: Final = 500  # products per list that serve without an artifact


def run(
    catalog: str,
    *,
    now: datetime,
    progress: Progress | None = None,
    recipe: Recipe | None = None,
    force: bool = False,
) -> Build:
    """Build a catalog's model; the row says what became of it and why. `force` skips the gate.

    Without a `recipe` its constants are chosen on the catalog's own events.

    Raises
    ------
    NotFound
        If there is no such catalog.
    BuildRunning
        If another build runs, of whatever catalog.
    """
    if not Catalog.objects.filter(name=catalog).exists():
        raise NotFound(f"There is no catalog {catalog!r}.")
    with connection.cursor() as cursor:
        if not locks.try_hold_session(cursor, LOCK):
            raise BuildRunning("Another build is running; try again when it is done.")
        try:
            build = open_build(catalog, recipe=recipe or Recipe(), now=now)
            timer = Timer(tell_row(build, also=progress))
            with threads.bounded(settings.BUILD_THREADS):
                keep_books(build, timer=timer, choose=recipe is None, force=force)
        finally:
            locks.release_session(cursor, LOCK)
    registry.drop_old(catalog)
    return build


def open_build(catalog: str, *, recipe: Recipe, now: datetime) -> Build:
    """A new row. The caller holds the lock, so what is still marked as running was killed."""
    array_files.remove_partial(registry.artifacts_dir())
    running = Build.objects.filter(state=Build.State.RUNNING)
    for killed in running:
        shutil.rmtree(registry.artifacts_dir() / folder_name(killed), ignore_errors=True)
    running.update(state=Build.State.FAILED, reason=KILLED, finished_at=now, artifact="")
    return Build.objects.create(catalog=catalog, parameters=recipe.as_dict(), started_at=now)


def keep_books(build: Build, *, timer: Timer, choose: bool, force: bool) -> None:
    """Learn, and write down how it went even when it breaks."""
    try:
        reason = learn(build, timer=timer, choose=choose)
    except BaseException as exc:  # Ctrl-C, too: the row must not look as if it went on
        reason = exc.message if isinstance(exc, EngageError) else f"{type(exc).__name__}: {exc}"
        build.state, build.reason = Build.State.FAILED, reason[:1_000]
        raise
    else:
        if build.state == Build.State.RUNNING and reason and not force:
            build.state, build.reason = Build.State.REFUSED, reason
        elif build.state == Build.State.RUNNING:
            build.reason = f"Published by force. {reason}" if reason else ""
    finally:
        build.timings = timer.figures()
        build.finished_at = build.started_at + timedelta(seconds=timer.total())
        build.save()
    failpoints.reach("C15")
    if build.state == Build.State.RUNNING:
        registry.publish(build, now=build.finished_at)
    failpoints.reach("C16")
    timer.progress("done", 1.0)
    logger.info("build ended", extra={"build_id": build.pk, "state": build.state})


def learn(build: Build, *, timer: Timer, choose: bool) -> str:
    """Fill the row and write the artifact; why the build must not go live, or nothing."""
    recipe = recipe_of(build)
    with timer.step("read"):
        data = interactions.read(build.catalog)
        build.data = data.facts()
        attributes = people_alike.read(data.profile_ids)
    if not len(data.log):
        build.state = Build.State.FAILED
        build.reason = f"No event yet is about a product of catalog {build.catalog!r}."
        return ""
    build.popular = remember(data, recipe)
    build.save(update_fields=["popular", "data"])
    live = Build.objects.filter(catalog=build.catalog, state=Build.State.LIVE).first()
    kept = recipe.with_choice_of(recipe_of(live)) if live and choose else recipe
    with timer.step("choose"):
        split = hold_out(data.log)
        if choose:  # not on what is held back, which measures the choice
            recipe = choose_recipe(
                split.train, recipe, kept=kept, tell=timer.part, **settings_of_models()
            )
    with timer.step("measure"):
        build.quality = measure(split, recipe, tell=timer.part)
    with timer.step("compare"):
        compare(build, live, split, data.item_ids, recipe=recipe)
        if choose and recipe != kept and judge(build, live):
            # It was chosen by luck: the live choice stays, and learns what is new.
            recipe = kept
            build.quality = measure(split, recipe)
            compare(build, live, split, data.item_ids, recipe=recipe)
        build.parameters = recipe.as_dict()
    with timer.step("learn"):
        model = fit(recipe, data.log, tell=timer.part)
        people, base = learn_people(build, model, data.log, attributes)
    with timer.step("write"):
        build.artifact = folder_name(build)
        build.checksum = write(build, model, data, people=people, base=base)
    return judge(build, live)


def compare(
    build: Build, live: Build | None, split: Split, item_ids: list[str], *, recipe: Recipe
) -> None:
    """Write the live build's figures beside those of the new one."""
    figures = measure_live(live, split, item_ids, recipe=recipe, same=build.quality)
    build.quality |= {f"live_{name}": value for name, value in figures.items()}


def folder_name(build: Build) -> str:
    return f"{build.catalog}-{build.pk}"


def recipe_of(build: Build) -> Recipe:
    """The recipe a build was made by; constants it did not know yet have today's value."""
    return recipe_from(build.parameters)


def fit(recipe: Recipe, log: Log, *, tell: Tell = lambda share: None) -> ItemModel:
    return ItemModel(recipe, **settings_of_models()).fit(log, tell=tell)


def settings_of_models() -> dict[str, Any]:
    return {"threads": settings.BUILD_THREADS, "sale_weight": SALE_WEIGHT}


def learn_people(
    build: Build, model: ItemModel, log: Log, attributes: list[Attribute]
) -> tuple[Prior, str]:
    """The lifts of people alike, and of which popular list: none unless newcomers gain by them."""
    found = choose(log, attributes, recipe=model.recipe, sale_weight=SALE_WEIGHT)
    if found is None:
        return NOBODY, ""
    build.quality["people_alike"] = found.figures
    popular: dict[str, Scores] = {
        "sales": model.popularity_.sales_,
        "trend": model.popularity_.trend_,
    }
    base, days = found.base, model.recipe.half_life_days
    return demographics.learn(log, found.attributes, popular[base], half_life_days=days), base


def remember(data: Interactions, recipe: Recipe) -> dict[str, list[str]]:
    """The lists that serve when no artifact can be read; the same as in the artifact."""
    found = Popularity(
        half_life_days=recipe.half_life_days,
        window_days=recipe.window_days,
        tilt=recipe.tilt,
        sale_weight=SALE_WEIGHT,
    ).fit(data.log)
    scores: dict[str, Scores] = {"sales": found.sales_, "trend": found.trend_}
    return {
        name: [data.item_ids[number] for number in best_first(values)[:REMEMBERED]]
        for name, values in scores.items()
    }


def measure(split: Split, recipe: Recipe, *, tell: Tell = lambda share: None) -> dict[str, Any]:
    """Figures on the held-back events; without anybody to ask only how it was tried."""
    facts: dict[str, Any] = {"protocol": split.protocol, "profiles": int(split.profiles.size)}
    if not split.profiles.size:
        return facts
    model = fit(recipe, split.train, tell=tell)
    figures, places = ask(model.personal_, split, recipe)
    shares = places[: len(model.sources_)] / max(int(places.sum()), 1)
    facts["sources"] = dict(zip(model.sources_, shares.round(4).tolist(), strict=True))
    return facts | figures


def ask(
    personal: Mixture, split: Split, recipe: Recipe
) -> tuple[dict[str, float], NDArray[np.int64]]:
    return evaluate(personal, split, history=recipe.history, fading=recipe.fading)


def measure_live(
    live: Build | None,
    split: Split,
    item_ids: list[str],
    *,
    recipe: Recipe,
    same: Mapping[str, Any],
) -> dict[str, float]:
    """The live build's figures on the same events; nothing when it cannot be asked.

    When it learned before the held-back events happened, its artifact answers as it is. When it
    has seen them it would only recite: then its recipe learns anew from what the new one had. So
    does the recipe of one whose artifact is damaged: it shall not let a worse one pass.
    """
    if live is None or GATE not in same:
        return {}
    saw_less = (live.data.get("last_ms") or math.inf) < split.cut_ms
    if saw_less and (loaded := registry.find_artifact(live)):
        figures, _ = ask(renumber(loaded, item_ids), split, recipe_of(live))
    elif recipe_of(live) == recipe:
        figures = {name: value for name, value in same.items() if isinstance(value, float)}
    else:
        figures = measure(split, recipe_of(live))
    return {name: figures[name] for name in (GATE, BREADTH)}


def renumber(loaded: Artifact, item_ids: list[str]) -> Mixture:
    """An artifact's lists in the numbers of other item ids; without products that went."""
    number = {item_id: n for n, item_id in enumerate(item_ids)}
    new = np.array([number.get(item_id, -1) for item_id in loaded.item_ids], np.int32)
    neighbours, strength = loaded.reading("personal")
    found = Mixture(
        np.full((len(item_ids), neighbours.shape[1]), -1, np.int32),
        np.zeros((len(item_ids), neighbours.shape[1]), np.float32),
        np.zeros((len(item_ids), neighbours.shape[1]), np.uint8),
    )
    moved = np.where(neighbours >= 0, np.append(new, -1)[neighbours], -1)
    order = np.argsort(moved < 0, axis=1, kind="stable")  # gaps to the end, the rest as it was
    kept = np.flatnonzero(new >= 0)
    found.neighbours[new[kept]] = np.take_along_axis(moved, order, 1)[kept]
    found.strength[new[kept]] = np.where(
        found.neighbours[new[kept]] >= 0, np.take_along_axis(strength, order, 1)[kept], 0
    )
    return found


def write(
    build: Build, model: ItemModel, data: Interactions, *, people: Prior = NOBODY, base: str = ""
) -> str:
    """Write the artifact and prove that it can be read back; its checksum."""
    index = descriptions.read_index(build.catalog, data.item_ids)
    # Nothing of this very build: the same input gives the same bytes, checksum included.
    facts = facts_of(model) | {"people_alike": people_alike.facts_of(base, people.values)}
    folder = registry.folder_of(build)
    shutil.rmtree(folder, ignore_errors=True)  # of a database that was replaced
    arrays = arrays_of(model, index, people)
    checksum = artifact.write(folder, arrays, item_ids=data.item_ids, facts=facts)
    artifact.load(folder, checksum=checksum, build_id=build.pk)
    return checksum


def facts_of(model: ItemModel) -> dict[str, Any]:
    """What serving must know beside the arrays."""
    return {
        "parameters": model.recipe.as_dict(),
        "has_sales": model.popularity_.has_sales_,
        "sources": list(model.sources_),
        "readings": list(model.lists_),
        "scales": scales(model.lists_, model.recipe.weights),
    }


def arrays_of(
    model: ItemModel, index: WordIndex, people: Prior = NOBODY
) -> dict[str, NDArray[Any]]:
    """The arrays of an artifact, as `artifact.ARRAYS` and `artifact.LISTS` name them."""
    lists = {
        f"{name}_{part}": array
        for name, one in model.lists_.items()
        for part, array in (("items", one.neighbours), ("scores", one.scores))
    }
    return lists | {
        "personal_items": model.personal_.neighbours,
        "personal_scores": model.personal_.strength,
        "personal_sources": model.personal_.loudest,
        "sales": model.popularity_.sales_,
        "trend": model.popularity_.trend_,
        "occurrences": model.occurrences_,
        "again": model.again_,
        **{VISITS.format(name): array for name, array in vars_of(model.visits_)},
        "marks": model.counted_.marks,
        "similar_met": model.counted_.similar,
        "next_met": model.counted_.next,
        "people_items": people.items,
        "people_lift": people.lift,
        "word_hashes": index.hashes,
        "word_starts": index.starts,
        "word_items": index.items,
        "word_worth": index.worth,
        "word_lengths": index.lengths,
        "word_item_starts": index.item_starts,
        "word_words": index.words,
    }


def vars_of(visits: Visits) -> Iterator[tuple[str, NDArray[Any]]]:
    for field in dataclasses.fields(visits):
        yield field.name, getattr(visits, field.name)


def judge(build: Build, live: Build | None) -> str:
    """Why the build must not go live, in a sentence; empty when it may."""
    if live is None:
        return ""
    had, has = live.data.get("interactions", 0), build.data["interactions"]
    if has < had * LEAST_DATA:
        return (
            f"It learned from {has:,} interactions, the live build {live.pk} from {had:,}: "
            "check that the events and the catalog are complete."
        )
    new, old = build.quality.get(GATE), build.quality.get(f"live_{GATE}")
    if new is not None and old is not None and new < old * (1 - MOST_LOST):
        return (
            f"Its NDCG@10 of {new:.4f} is more than {MOST_LOST:.0%} below the {old:.4f} "
            f"of the live build {live.pk} on the same held-back events."
        )
    new, old = build.quality.get(BREADTH), build.quality.get(f"live_{BREADTH}")
    if new is not None and old is not None and new < old * LEAST_BREADTH:
        return f"Its lists cover {new:.1%} of the products, those of build {live.pk} {old:.1%}."
    return ""
