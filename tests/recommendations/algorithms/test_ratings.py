import numpy as np
import pytest
from scipy.sparse import csr_matrix

from recommendations.algorithms.ratings import Ratings

HALF_STARS = np.array([[1, 2, 0], [2, 3, 0], [3, 4, 5], [0, 4, 5]], float)


def rated(values=HALF_STARS) -> csr_matrix:
    return csr_matrix(values)


def predicted(model: Ratings, pairs) -> list[float]:
    profile, item = np.array(pairs).T
    return model.predict(profile, item).tolist()


def test_deviations_add_up_where_ratings_do():
    model = Ratings(rank=0, damping=0.0, rounds=200).fit(rated())
    assert predicted(model, [(0, 0), (1, 1), (2, 2)]) == pytest.approx([1, 3, 5], abs=0.01)
    assert predicted(model, [(1, 2)]) == pytest.approx(
        [4], abs=0.01
    )  # one above what 0 would give


def test_damping_draws_a_single_rating_to_the_mean():
    one = np.zeros((2, 2))
    one[0, 0], one[1, 1] = 5, 1
    free, damped = (Ratings(rank=0, damping=d).fit(rated(one)) for d in (0.0, 5.0))
    assert predicted(free, [(0, 0)]) == [5]
    assert 3 < predicted(damped, [(0, 0)])[0] < 4.5


def test_factors_learn_what_deviations_cannot():
    taste = np.array([[5, 1], [1, 5]])[np.arange(12) % 2][:, np.arange(8) % 2].astype(float)
    hidden = rated(taste).tolil()
    hidden[0, 0] = 0
    alone, common = (Ratings(rank=rank, penalty=0.01).fit(hidden.tocsr()) for rank in (0, 2))
    assert predicted(alone, [(0, 0)]) == pytest.approx([3], abs=0.5)
    assert predicted(common, [(0, 0)])[0] > 4


def test_a_round_solves_the_normal_equation_of_each_row():
    model = Ratings(rank=2, penalty=0.3, rounds=1)
    rows, features = rated(), np.random.default_rng(0).random((3, 2))
    found = model._solved(rows, features)
    for row in range(4):
        known = np.flatnonzero(HALF_STARS[row])
        x = features[known]
        gram = x.T @ x + 0.3 * len(known) * np.eye(2)
        assert found[row] == pytest.approx(np.linalg.solve(gram, x.T @ HALF_STARS[row, known]))


def test_strangers_get_the_mean_and_what_is_known_of_the_other():
    model = Ratings().fit(rated())
    assert predicted(model, [(-1, -1)]) == [pytest.approx(rated().data.mean())]
    assert predicted(model, [(-1, 0)])[0] < predicted(model, [(-1, 2)])[0]


def test_predictions_stay_inside_the_range():
    every = [(p, i) for p in range(-1, 4) for i in range(-1, 3)]
    assert all(1 <= value <= 5 for value in predicted(Ratings(penalty=0.001).fit(rated()), every))


def test_without_a_rating_there_is_nothing_to_learn():
    with pytest.raises(ValueError, match="no rating"):
        Ratings().fit(csr_matrix((2, 2)))
