"""Readers in commit order wait for open transactions of this database, and for no others."""

from contextlib import contextmanager

import psycopg2
import pytest
from django.db import connection

from engage.profiles import history, notices
from engage.profiles.store import store_events
from tests.concurrency.test_ingest import in_threads
from tests.engage.profiles.events import make_event
from tests.factories import NOON

pytestmark = pytest.mark.django_db(transaction=True)
CLICKED = "Notification Clicked"


@pytest.fixture(autouse=True)
def _own_history(settings, tmp_path):
    settings.DATA_DIR = tmp_path


@contextmanager
def open_transaction(database: str):
    """A transaction of somebody else that has a number and does not end."""
    facts = connection.get_connection_params()
    given = {name: facts[name] for name in ("user", "password", "host", "port") if facts.get(name)}
    other = psycopg2.connect(**given, dbname=database)
    try:
        other.cursor().execute("SELECT pg_current_xact_id()")
        yield
    finally:
        other.rollback()  # answered when it is over; a closed connection ends a little later
        other.close()


def hear() -> list[str]:
    with notices.read("test", names=[CLICKED]) as heard:
        return [notice.message_id for notice in heard]


def click(message_id: str) -> None:
    store_events([make_event(CLICKED, user_id="u1", message_id=message_id)], now=NOON)


def test_rows_behind_an_open_transaction_wait_for_it() -> None:
    history.append_final_blocks()
    with open_transaction(connection.settings_dict["NAME"]):
        click("a")

        assert hear() == []
        assert history.append_final_blocks() == 0
    assert hear() == ["a"]
    assert hear() == []
    assert history.append_final_blocks() == 1


def test_an_open_transaction_of_another_database_delays_nobody() -> None:
    history.append_final_blocks()
    with open_transaction("postgres"):
        click("a")

        assert hear() == ["a"]
        assert history.append_final_blocks() == 1


def test_a_notice_whose_effects_fail_is_heard_again() -> None:
    click("a")
    with pytest.raises(ZeroDivisionError), notices.read("test", names=[CLICKED]):
        1 / 0  # noqa: B018

    assert hear() == ["a"]


def test_who_comes_while_another_reads_hears_nothing_and_does_not_wait() -> None:
    click("a")

    with notices.read("test", names=[CLICKED]) as heard:
        assert in_threads(hear) == [[]]
        assert [notice.message_id for notice in heard] == ["a"]
    assert hear() == []


def test_two_processes_of_one_consumer_hear_each_notice_once() -> None:
    for number in range(5):
        click(f"m{number}")

    results = in_threads(hear, hear)

    assert sorted(map(len, results)) == [0, 5]
