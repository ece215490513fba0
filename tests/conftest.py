from datetime import UTC, datetime

import pytest
from django.db import connection

from engage.lib.redis import client, key


@pytest.fixture
def now() -> datetime:
    return datetime(2026, 11, 2, 12, 0, tzinfo=UTC)


@pytest.fixture(autouse=True)
def forget_links():
    """The rows of link targets vanish with each test; so must what the process knows of them."""
    from delivery.links import forget_kept

    forget_kept()


@pytest.fixture(autouse=True)
def forget_snapshots():
    """Catalogs vanish with each test; so must what the process has read of them."""
    from catalog import snapshot

    snapshot.forget()


@pytest.fixture
def redis_keys():
    """Our keys in Redis, empty before and after."""
    yield from _swept()


def _swept():
    _sweep()
    yield client()
    _sweep()


def _sweep() -> None:
    for name in client().scan_iter(match=key("*"), count=1000):
        client().delete(name)


@pytest.fixture(autouse=True)
def _no_events_left(request):
    """Django empties the tables it manages after a test that commits; this does the events."""
    marker = request.node.get_closest_marker("django_db")
    commits = marker is not None and marker.kwargs.get("transaction")
    if commits:
        request.getfixturevalue("transactional_db")
    yield
    if commits:
        with connection.cursor() as cursor:
            cursor.execute("TRUNCATE profiles_event")
