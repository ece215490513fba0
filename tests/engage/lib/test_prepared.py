"""Reading queries that are planned once per connection."""

import threading

import pytest
from django.db import DataError, OperationalError, connection, transaction

from engage.lib.prepared import Query, Statement

ADD = Query("add", "SELECT $1 + $2, $3", types=("bigint", "bigint", "text[]"))
NOTHING = Query("nothing", "SELECT 1 WHERE $1", types=("boolean",))
INVERSE = Query("inverse", "SELECT 1 / $1", types=("bigint",))


def list_plans() -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT name FROM pg_prepared_statements ORDER BY name")
        return [name.rpartition("_")[0] for (name,) in cursor.fetchall()]


def end_connection() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        [process] = cursor.fetchone()

    def end() -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [process])
        connection.close()

    thread = threading.Thread(target=end)  # with a connection of its own
    thread.start()
    thread.join()


@pytest.fixture
def fresh(transactional_db):
    connection.close()


def test_a_query_gives_its_first_row_or_none(db):
    assert ADD.fetch_one(1, 2, ["a", "b'%s"]) == (3, ["a", "b'%s"])
    assert ADD.fetch_one(2, 2, []) == (4, [])
    assert NOTHING.fetch_one(False) is None


def test_a_query_is_planned_once_per_connection(fresh):
    for number in range(3):
        assert ADD.fetch_one(number, 1, []) == (number + 1, [])
    assert list_plans() == ["add"]
    connection.close()
    assert list_plans() == []
    assert ADD.fetch_one(1, 1, []) == (2, [])


def test_a_connection_that_is_gone_is_opened_anew(fresh):
    ADD.fetch_one(1, 1, [])
    end_connection()
    assert ADD.fetch_one(1, 2, []) == (3, [])


def test_inside_a_transaction_a_lost_connection_is_an_error(fresh):
    @transaction.atomic
    def lose_it_midway():
        ADD.fetch_one(1, 1, [])
        end_connection()
        ADD.fetch_one(1, 1, [])

    with pytest.raises(OperationalError):
        lose_it_midway()


def test_a_plan_that_somebody_dropped_is_not_missed(fresh):
    ADD.fetch_one(1, 1, [])
    with connection.cursor() as cursor:
        cursor.execute("DEALLOCATE ALL")
    assert ADD.fetch_one(1, 2, ["x"]) == (3, ["x"])
    assert ADD.fetch_one(1, 3, ["x"]) == (4, ["x"])
    assert list_plans() == ["add"]


def test_a_plan_that_is_there_already_is_used(fresh):
    ADD.fetch_one(1, 1, [])
    ADD.planned.clear()  # as when a pooler gives us the connection of another process
    assert ADD.fetch_one(1, 2, []) == (3, [])
    assert ADD.fetch_one(1, 3, []) == (4, [])


def test_a_table_whose_columns_changed_is_read_as_it_is_now(fresh):
    query = Query("changed", "SELECT * FROM changing WHERE $1", types=("boolean",))
    with connection.cursor() as cursor:
        cursor.execute("CREATE TEMPORARY TABLE changing AS SELECT 1 AS number")
        assert query.fetch_one(True) == (1,)
        cursor.execute("ALTER TABLE changing ALTER number TYPE text")
    assert query.fetch_one(True) == ("1",)


def test_errors_are_those_of_django(fresh):
    with pytest.raises(DataError, match="division by zero"):
        INVERSE.fetch_one(0)
    assert INVERSE.fetch_one(1) == (1,)


# --- statements of a transaction, by name --------------------------------------------------------

SUM = Statement(
    "sum", "SELECT %(a)s + %(b)s, 7 %% %(a)s", types={"a": "bigint", "b": "bigint"}
)  # fmt: skip


def test_a_statement_is_planned_once_and_takes_its_values_by_name(fresh):
    with transaction.atomic():
        assert SUM.fetch_all({"b": 3, "a": 2, "more": "is ignored"}) == [(5, 1)]
        assert SUM.fetch_all({"a": 4, "b": 1}) == [(5, 3)]
    assert list_plans() == ["sum"]


def test_a_plan_that_was_lost_fails_one_transaction_and_is_done_without_then(fresh):
    SUM.fetch_all({"a": 1, "b": 1})
    with connection.cursor() as cursor:
        cursor.execute("DEALLOCATE ALL")
    with pytest.raises(OperationalError), transaction.atomic():
        SUM.fetch_all({"a": 1, "b": 1})
    with transaction.atomic():
        assert SUM.fetch_all({"a": 3, "b": 1}) == [(4, 1)]
    assert list_plans() == []
