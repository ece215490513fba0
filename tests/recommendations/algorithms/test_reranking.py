"""The chosen list, against choosing by the definition, one candidate after the other."""

import numpy as np
import pytest

from recommendations.algorithms.reranking import Cap, choose

CATEGORY = np.array([0, 0, 0, 1, 1, -1, -1], np.int32)
BRAND = np.array([0, 1, 0, 0, 1, 0, -1], np.int32)
NONE = np.zeros((1, 0), np.int32)


def pick(items, relevance, n=3, *, chosen=NONE, **options):
    """For one profile, as item numbers."""
    items = np.array([items], np.int32)
    relevance = np.array([relevance], np.float64)
    found = choose(items, relevance, wanted=np.array([n]), chosen=np.asarray(chosen), **options)
    return [int(items[0, column]) for column in found[0] if column >= 0]


def choose_slowly(items, relevance, n, *, chosen, variety, kinds, caps):
    """The definition."""
    stands, left, picked = list(chosen), list(range(len(items))), []

    def likeness(a, b):
        return sum(k[a] == k[b] and k[a] >= 0 for k in kinds) / len(kinds)

    def is_free(item):
        same = [[other for other in stands if cap.kind[other] == cap.kind[item]] for cap in caps]
        return all(
            cap.kind[item] < 0 or len(others) < cap.most
            for cap, others in zip(caps, same, strict=True)
        )

    while len(picked) < n:
        free = [column for column in left if is_free(items[column])]
        if not free:
            break

        def rank_of(column):
            near = max((likeness(items[column], other) for other in stands), default=0.0)
            value = (1 - variety) * relevance[column] - variety * near
            return (-value, -relevance[column], items[column])

        best = min(free, key=rank_of)
        left.remove(best)
        stands.append(items[best])
        picked.append(best)
    return picked


@pytest.mark.parametrize("variety", [0.0, 0.25, 0.5, 1.0])
@pytest.mark.parametrize("seed", range(10))
def test_many_profiles_are_served_as_the_definition_says(seed, variety):
    rng = np.random.default_rng(seed)
    category, brand, group = rng.integers(-1, 5, (3, 60)).astype(np.int32)
    kinds = [category, brand]
    caps = [Cap(category, 2), Cap(brand, 3), Cap(group, 1)]
    order = np.array([rng.permutation(60) for _ in range(12)], np.int32)
    items, chosen = order[:, :20].copy(), order[:, 20:23].copy()
    items[:, 15:] = np.where(rng.random((12, 5)) < 0.5, -1, items[:, 15:])
    chosen[rng.random(chosen.shape) < 0.4] = -1
    relevance = rng.integers(0, 8, items.shape) / 8  # exact in binary, with ties
    wanted = rng.integers(0, 8, 12)
    found = choose(
        items, relevance, wanted=wanted, chosen=chosen, variety=variety, kinds=kinds, caps=caps
    )
    for u in range(12):
        real = [c for c in range(20) if items[u, c] >= 0]
        expected = choose_slowly(
            items[u, real],
            relevance[u, real],
            wanted[u],
            chosen=[c for c in chosen[u] if c >= 0],
            variety=variety,
            kinds=kinds,
            caps=caps,
        )
        assert [c for c in found[u] if c >= 0] == [real[c] for c in expected]


def test_without_variety_relevance_decides():
    assert pick([3, 1, 0, 2], [0.1, 1.0, 0.5, 0.7]) == [1, 2, 0]


def test_likeness_costs_what_variety_says():
    # 0, 1, 2 share a category, half of what makes products alike; 0 and 2 the brand as well.
    likeness = {"kinds": [CATEGORY, BRAND]}
    assert pick([0, 2, 4], [1.0, 0.9, 0.5], 2, variety=0.2, **likeness) == [0, 2]  # .72-.2 > .4
    assert pick([0, 2, 4], [1.0, 0.9, 0.5], 2, variety=0.3, **likeness) == [0, 4]  # .63-.3 < .35


def test_variety_alone_takes_the_more_relevant_of_equally_new():
    assert pick([0, 1, 3, 4], [0.2, 0.9, 0.3, 0.6], 2, variety=1.0, kinds=[CATEGORY]) == [1, 4]


def test_cap_leaves_room_for_others():
    assert pick([0, 1, 2, 3], [1.0, 0.9, 0.8, 0.1], caps=[Cap(CATEGORY, 2)]) == [0, 1, 3]


def test_cap_counts_what_stands_already():
    chosen = np.array([[2]], np.int32)
    assert pick([0, 1, 3], [1.0, 0.9, 0.1], chosen=chosen, caps=[Cap(CATEGORY, 2)]) == [0, 3]


def test_product_without_a_kind_is_never_capped():
    assert pick([5, 6, 0], [1.0, 0.9, 0.8], caps=[Cap(CATEGORY, 1)]) == [5, 6, 0]


def test_equals_are_ordered_by_number():
    assert pick([3, 1, 2], [0.5, 0.5, 0.5]) == [1, 2, 3]


def test_nobody_and_nothing_are_no_error():
    assert choose(
        np.zeros((0, 4), np.int32), np.zeros((0, 4)), wanted=np.zeros(0, np.int64), chosen=NONE[:0]
    ).shape == (0, 0)
    assert pick([], [], 3, variety=0.5, kinds=[CATEGORY], caps=[Cap(BRAND, 1)]) == []


def test_variety_beyond_its_range_is_refused():
    with pytest.raises(ValueError, match=r"variety is 1\.5"):
        pick([0], [1.0], variety=1.5)
