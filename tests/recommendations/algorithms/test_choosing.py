"""Which constants a shop gets, by what its people do."""

import dataclasses

import numpy as np

from recommendations.algorithms.choosing import (
    LEAST_PROFILES,
    choose_again,
    choose_recipe,
    choose_visits,
    is_better,
    sampled,
)
from recommendations.algorithms.histories import DAY_MS
from recommendations.algorithms.log import make_log
from recommendations.algorithms.model import ItemModel, evaluate
from recommendations.algorithms.recipe import Recipe
from recommendations.algorithms.split import hold_out
from tests.recommendations.algorithms.logs import log_of

START = Recipe(top=50)
N_ITEMS = 120


def tastes(rng: np.random.Generator) -> list[int]:
    """Two tastes a person, met in any order: all that they ever met says what comes."""
    shelves = rng.choice(N_ITEMS // 10, 2, replace=False)
    mine = np.concatenate([np.arange(10) + 10 * shelf for shelf in shelves])
    strays = rng.integers(0, N_ITEMS, 12)
    return rng.permutation(np.append(rng.choice(mine, 12, replace=False), strays)).tolist()


def stories(rng: np.random.Generator) -> list[int]:
    """Parts of a story follow each other; what came before the last break says nothing."""
    path: list[int] = []
    for _ in range(6):
        at = int(rng.integers(N_ITEMS))
        path += [(at + step) % N_ITEMS for step in range(4)]
    return path


def shop(walk, *, people: int, seed: int = 2):
    rng = np.random.default_rng(seed)
    return log_of(*(walk(rng) for _ in range(people)), n_items=N_ITEMS)


def share_of_next(recipe):
    return recipe.weights.get("next", 0) / sum(recipe.weights.values())


def test_people_of_lasting_tastes_are_served_by_a_long_memory():
    log = shop(tastes, people=300)
    chosen = choose_recipe(log, START)
    assert (chosen.history, chosen.fading) != (START.history, START.fading)
    assert chosen.history > START.history
    assert share_of_next(chosen) < share_of_next(START)


def test_the_choice_answers_better_on_events_it_has_not_seen():
    split = hold_out(shop(tastes, people=300))
    chosen = choose_recipe(split.train, START)

    def figure(recipe):
        personal = ItemModel(recipe).fit(split.train).personal_
        found, _ = evaluate(personal, split, history=recipe.history, fading=recipe.fading)
        return found["ndcg@10"]

    assert figure(chosen) > 1.1 * figure(START)


def test_people_who_follow_a_story_are_served_by_its_last_part():
    chosen = choose_recipe(shop(stories, people=300), START)
    assert share_of_next(chosen) >= share_of_next(START)
    assert (chosen.history, chosen.fading) == (START.history, START.fading)


def test_a_shop_too_thin_to_choose_keeps_the_documented_constants():
    log = shop(tastes, people=LEAST_PROFILES - 1)
    assert choose_recipe(log, START) == START


def test_the_same_events_choose_the_same_constants():
    log = shop(tastes, people=150)
    assert choose_recipe(log, START) == choose_recipe(log, START)
    assert choose_recipe(log, START) == choose_recipe(log, START, use_numba=False)


def test_what_is_no_matter_of_choice_stays():
    start = dataclasses.replace(START, similar_shrink=3.0, next_window=4)
    chosen = choose_recipe(shop(tastes, people=150), start)
    assert (chosen.similar_shrink, chosen.next_window, chosen.top) == (3.0, 4, 50)


def test_a_sample_is_spread_over_all_profiles():
    split = hold_out(shop(tastes, people=50))
    few = sampled(split, most=5)
    assert few.profiles.tolist() == split.profiles[[0, 10, 21, 31, 42]].tolist()
    assert few.targets[1] is split.targets[10]
    assert sampled(split, most=43) is split


def test_present_choice_stays_unless_another_is_clearly_better():
    log = shop(tastes, people=300)
    chosen = choose_recipe(log, START)
    assert chosen != START
    assert choose_recipe(log, START, kept=chosen) == chosen
    near = dataclasses.replace(chosen, personal_tilt=chosen.personal_tilt + 0.01)
    assert choose_recipe(log, START, kept=near) == near
    far = dataclasses.replace(chosen, similar_target=0.7, weights={"next": 1.0}, history=1)
    assert choose_recipe(log, START, kept=far) == chosen


def test_a_shop_too_thin_to_choose_keeps_its_present_choice():
    log = shop(tastes, people=LEAST_PROFILES - 1)
    kept = dataclasses.replace(START, history=50)
    assert choose_recipe(log, START, kept=kept) == kept


def test_gain_within_two_standard_errors_is_luck():
    usual = np.full(100, 0.5)
    gain = np.tile([-0.1, 0.16], 50)  # 0.03 in the mean, with an error of 0.013
    assert is_better(usual + gain, usual)
    assert not is_better((usual + gain)[:50], usual[:50])  # an error of 0.019
    assert not is_better(usual + 0.009, usual)  # certain, but of no matter
    assert is_better(usual + 0.011, usual)
    assert not is_better(usual, usual)


def regulars(rng: np.random.Generator) -> list[int]:
    """The same five items over and over, each person their own."""
    mine = rng.choice(N_ITEMS, 5, replace=False)
    return rng.choice(mine, 30).tolist()


def test_people_who_come_back_to_their_own_are_offered_them_first():
    """Five weeks of days: the last one is held back, and asked about."""
    rng = np.random.default_rng(3)
    rows = [(u, i, day) for u in range(200) for day, i in enumerate(regulars(rng) + regulars(rng))]
    profile, item, day = np.array(rows).T
    log = make_log(profile, item, ts_ms=day * DAY_MS, n_items=N_ITEMS)
    cut_ms = int(log.ts_ms.max()) - 7 * DAY_MS
    learned = ItemModel(START).fit(log.take(log.ts_ms < cut_ms))
    assert choose_again(learned, START, log, cut_ms) > START.again


def test_people_who_never_come_back_are_offered_nothing_again():
    rows = [(u, (u + step) % N_ITEMS, step) for u in range(200) for step in range(40)]
    profile, item, day = np.array(rows).T
    log = make_log(profile, item, ts_ms=day * DAY_MS, n_items=N_ITEMS)
    cut_ms = int(log.ts_ms.max()) - 7 * DAY_MS
    learned = ItemModel(START).fit(log.take(log.ts_ms < cut_ms))
    assert choose_again(learned, START, log, cut_ms) == 0


def test_a_log_without_times_keeps_the_documented_weight():
    log = shop(tastes, people=150)
    assert choose_again(ItemModel(START).fit(log), START, log, 0) == START.again


def test_visits_are_weighed_where_two_items_say_what_neither_says_alone():
    """A pair of items leads to one of its own; each item alone leads to thirty."""
    rng = np.random.default_rng(5)
    paths = []
    for _ in range(1_500):
        pairs = rng.permutation(30)[:4].reshape(2, 2).tolist()
        paths.append([i for a, b in pairs for i in (a, b, 30 + (a * 7 + b * 11) % 90)])
    log = log_of(*paths, n_items=N_ITEMS)
    split = hold_out(log)
    learned = ItemModel(START).fit(split.train)
    assert choose_visits(learned, START, split) > 0


def test_visits_are_not_weighed_where_too_few_have_a_short_history():
    split = hold_out(shop(tastes, people=150))
    assert choose_visits(ItemModel(START).fit(split.train), START, split) == 0
