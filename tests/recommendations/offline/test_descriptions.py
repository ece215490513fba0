from recommendations.offline.descriptions import words_of

from .rows import table


def test_words_of_titles_are_letters_alone():
    items = table("item,title,first_seen", [("b", "RED Mug, 12 x RED", "2011")])
    assert words_of(items, ["a", "b"]).toarray().tolist() == [[False, False], [True, True]]


def test_attributes_are_taken_whole():
    items = table("item,attributes", [("a", "a1 a2"), ("b", "a2"), ("gone", "a3")])
    assert words_of(items, ["a", "b"]).toarray()[:, :2].tolist() == [[True, True], [False, True]]


def test_file_without_descriptions_gives_none():
    assert words_of(table("item,price", [("a", 1)]), ["a"]) is None
    assert words_of(None, ["a"]) is None
