import pytest

from recommendations import arms, hand_picked, rankers, shelf


@pytest.fixture(autouse=True)
def own_place(settings, tmp_path):
    """A data folder of its own, and nothing remembered from the test before."""
    settings.DATA_DIR = tmp_path
    shelf.forget()
    hand_picked.forget()
    arms.forget()
    rankers.forget()
    yield tmp_path
    shelf.forget()
    hand_picked.forget()
    arms.forget()
    rankers.forget()
