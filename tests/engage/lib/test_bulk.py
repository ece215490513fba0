"""Arrays as PostgreSQL reads them back."""

from datetime import UTC, datetime
from uuid import UUID

import pytest
from django.db import connection

from engage.lib.bulk import array

pytestmark = pytest.mark.django_db
KEY, OTHER = UUID(int=7), UUID(int=2**127)
NOON = datetime(2026, 11, 2, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("bigint", [1, None, -3]),
        ("text", ["", "NULL", 'a "b" \\ {c,d}', None, "e\nf", "é"]),
        ("text", ['the "same"', 'the "same"', 'the "same"']),
        ("uuid", [KEY, OTHER, None]),
        ("uuid", [KEY, KEY]),
        ("float8", [0.1, 1e300, None]),
        ("timestamptz", [NOON, None]),
        ("timestamptz", [NOON, NOON]),
        ("text", [None, None]),
        ("text", ["one"]),
        ("text", []),
    ],
)
def test_what_goes_into_an_array_comes_out_of_it(kind, values):
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT unnest(%s::{kind}[])", [array(values)])
        assert [value for (value,) in cursor.fetchall()] == values


def test_bytes_come_out_of_an_array():
    with connection.cursor() as cursor:
        cursor.execute("SELECT unnest(%s::bytea[])", [array([b"\x00\xff", b'"\\'])])
        assert [bytes(value) for (value,) in cursor.fetchall()] == [b"\x00\xff", b'"\\']
