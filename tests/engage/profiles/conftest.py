import pytest


@pytest.fixture
def history_folder(settings, tmp_path):
    """A data folder of its own for the columnar history."""
    settings.DATA_DIR = tmp_path
    return tmp_path / "history"


@pytest.fixture
def only_this_room(settings):
    """Exports and erasures without the rooms above."""
    settings.PERSON_PARTS = {}
    settings.ERASERS = []
