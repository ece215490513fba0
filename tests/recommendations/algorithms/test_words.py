"""Finding by description, against sets of words and the formula."""

from math import log, sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recommendations.algorithms.words import hash_word, index_words, match_words, words_of_item

WORDS = ["red", "blue", "shoe", "boot", "lace", "wool"]
texts = st.lists(st.sets(st.sampled_from(WORDS), max_size=4), min_size=1, max_size=12)


def index_of(described, **options):
    hashes = [hash_word(word) for words in described for word in words]
    counts = np.array([len(words) for words in described])
    return index_words(np.array(hashes, np.uint64), counts, **options)


def hashes(*words):
    return np.array([hash_word(word) for word in words], np.uint64)


def slowly(described, asked):
    """Cosines by sets."""
    n = sum(bool(words) for words in described)
    worth = {w: (log((1 + n) / (1 + sum(w in d for d in described))) + 1) ** 2 for w in WORDS}
    known = [w for w in asked if any(w in d for d in described)]
    own = sqrt(sum(worth[w] for w in known))
    found = {
        k: sum(worth[w] for w in words & set(known)) / own / sqrt(sum(worth[w] for w in words))
        for k, words in enumerate(described)
        if words & set(known)
    }
    return sorted(found.items(), key=lambda pair: (-round(pair[1], 5), pair[0]))


@given(texts, st.sets(st.sampled_from([*WORDS, "new"])))
@settings(max_examples=200, deadline=None)
def test_scores_are_the_cosines_of_the_descriptions(described, asked):
    everything = np.ones(len(described), bool)
    items, scores = match_words(index_of(described), hashes(*sorted(asked)), allowed=everything)
    expected = dict(slowly(described, asked))
    assert set(items.tolist()) == set(expected)
    for item, score in zip(items.tolist(), scores.tolist(), strict=True):
        assert score == pytest.approx(expected[item], rel=1e-5)
    assert (np.diff(scores) <= 0).all()


def test_the_rarer_word_says_more_and_ties_go_to_the_smaller_number():
    index = index_of([{"red", "shoe"}, {"red", "boot"}, {"red", "lace"}, {"blue", "shoe"}])
    items, _ = match_words(index, hashes("red", "shoe"), allowed=np.ones(4, bool))
    assert items.tolist() == [0, 3, 1, 2]


def test_what_is_not_allowed_is_not_found():
    index = index_of([{"red"}, {"red"}, {"red"}])
    items, _ = match_words(index, hashes("red"), allowed=np.array([True, False, True]))
    assert items.tolist() == [0, 2]


def test_a_word_that_too_many_have_is_left_out():
    index = index_of([{"red", "shoe"}, {"red"}, {"red"}], most_items=2)
    assert match_words(index, hashes("red"), allowed=np.ones(3, bool))[0].tolist() == []
    assert index.lengths[1] == 0


def test_the_words_of_an_item_are_those_it_was_indexed_by():
    index = index_of([{"red", "shoe"}, set(), {"boot"}])
    assert sorted(words_of_item(index, 0).tolist()) == sorted(hashes("red", "shoe").tolist())
    assert words_of_item(index, 1).size == 0


def test_a_word_hashes_alike_everywhere():
    assert hash_word("schuh") == 2768561023242255735
