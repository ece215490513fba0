"""A pytest plugin: the servers that the tests run on, started before Django reads its settings.

With DATABASE_URL and REDIS_URL the tests use those; without them, embedded servers in a fresh
folder that is gone afterwards.
"""

import os
import shutil
import tempfile
from pathlib import Path

import pytest

FOLDER = Path(tempfile.mkdtemp(prefix="engage-tests-"))
os.environ["ENGAGE_DATA_DIR"] = str(FOLDER)
os.environ["ENGAGE_REDIS_PREFIX"] = f"test-{os.getpid()}"
os.environ.setdefault("SECRET_KEY", "a key for tests only, of no use anywhere")
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "engage.settings")

from engage.runner.servers import embedded_servers  # noqa: E402


@pytest.hookimpl(wrapper=True)
def pytest_runtestloop(session: pytest.Session):
    with embedded_servers(FOLDER, durable=False):
        result = yield
    return result


def pytest_unconfigure(config: pytest.Config) -> None:
    shutil.rmtree(FOLDER, ignore_errors=True)
