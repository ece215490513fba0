from recommendations.algorithms.sources.fallback import OrPopular
from recommendations.algorithms.sources.following import Following
from tests.recommendations.algorithms.sources.test_sessions import asked_of, log_of


def test_only_a_question_without_an_answer_gets_what_is_popular():
    log = log_of([1, 2], [3, 2], [3, 2])
    source = Following(backward=0.0, source=0.0, target=0.0)
    scores = OrPopular(source).fit(log).score(asked_of([1], [], [9]))
    assert scores[0].nonzero()[0].tolist() == [2]
    assert scores[1].tolist() == scores[2].tolist() == [0, 1, 3, 2, *[0] * 8]


def test_nobody_asked_is_no_row():
    scores = OrPopular(Following()).fit(log_of([1, 2])).score(asked_of())
    assert scores.shape == (0, 12)
