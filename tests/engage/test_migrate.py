"""A migration that was killed half way is run again."""

from contextlib import suppress

import pytest
from django.core.management import call_command
from django.db import connection

pytestmark = pytest.mark.django_db(transaction=True)
BEFORE, LAST = ("catalog", "0003"), ("catalog", "0004_product_newest_index")


@pytest.fixture
def killed():
    """The index of the last migration is there, and nothing says that it was carried out."""
    call_command("migrate", *BEFORE, fake=True, verbosity=0)
    yield
    call_command("migrate", *LAST, fake=True, verbosity=0)


def index() -> list[tuple[int, bool]]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT indexrelid::int, indisvalid FROM pg_index"
            " WHERE indexrelid = to_regclass('product_newest')"
        )
        return cursor.fetchall()


def test_an_index_built_by_a_migration_that_did_not_say_so_is_built_again(killed):
    [(before, _)] = index()
    call_command("migrate", verbosity=0)
    [(after, valid)] = index()
    assert (after != before, valid) == (True, True)


@pytest.mark.parametrize("look", [{"plan": True}, {"check_unapplied": True}])
def test_who_only_looks_changes_nothing(killed, look):
    before = index()
    with suppress(SystemExit):  # how the check says that something is left
        call_command("migrate", verbosity=0, **look)
    assert index() == before
