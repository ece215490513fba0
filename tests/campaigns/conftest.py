import pytest

from campaigns import in_app
from catalog import snapshot
from delivery import links
from recommendations import arms, hand_picked, shelf


@pytest.fixture(autouse=True)
def own_place(settings, tmp_path):
    """A data folder of its own, and nothing remembered from the test before."""
    settings.DATA_DIR = tmp_path
    forget_everything()
    yield
    forget_everything()


def forget_everything() -> None:
    snapshot.forget()
    shelf.forget()
    hand_picked.forget()
    arms.forget()
    links.forget_kept()
    in_app.cache.forget()
