"""A short reading query, asked so often that asking must cost little.

PostgreSQL plans it once per connection, and nobody looks first whether the connection still lives:
both take longer than the answer. A connection that turns out to be gone is opened anew and the
query asked again.
"""

import re
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Any, Final
from weakref import WeakSet

from django.db import InterfaceError, OperationalError, connections
from psycopg2 import errors

from engage.lib.bulk import array

# A pooler gave us the server connection of somebody else, or a column changed its type.
UNFIT_PLAN: Final = (
    errors.InvalidSqlStatementName,
    errors.DuplicatePreparedStatement,
    errors.FeatureNotSupported,
)
GONE: Final = (OperationalError, InterfaceError)


class Query:
    """`sql` has $1, $2 … in the places of its values, whose types are `types`."""

    def __init__(self, name: str, sql: str, *, types: Sequence[str]) -> None:
        # The plan of another release must not be taken for this one.
        plan = f"{name}_{blake2b(sql.encode(), digest_size=4).hexdigest()}"
        self.execute = f"EXECUTE {plan} ({', '.join(['%s'] * len(types))})"
        self.prepare = f"PREPARE {plan} ({', '.join(types)}) AS {sql}; {self.execute}"
        self.plain = re.sub(r"\$(\d+)", lambda one: f"%({one[1]})s::{types[int(one[1]) - 1]}", sql)
        self.planned: WeakSet[Any] = WeakSet()  # the connections that have the plan

    def fetch_one(self, *values: Any) -> tuple[Any, ...] | None:
        """The first row, or None. Raises `django.db.Error` as a cursor of Django's does."""
        django = connections["default"]
        try:
            return self._fetch(django, values)
        except GONE:
            if django.in_atomic_block:
                raise
            django.close()
            return self._fetch(django, values)

    def _fetch(self, django: Any, values: Sequence[Any]) -> tuple[Any, ...] | None:
        django.ensure_connection()
        link = django.connection
        with django.wrap_database_errors, link.cursor() as cursor:
            try:
                if link in self.planned:
                    cursor.execute(self.execute, values)
                else:
                    self.planned.add(link)
                    cursor.execute(self.prepare, values)
            except UNFIT_PLAN:
                self.planned.discard(link)
                cursor.execute(
                    self.plain, {str(place): one for place, one in enumerate(values, 1)}
                )
            row: tuple[Any, ...] | None = cursor.fetchone()
            return row


class Statement:
    """A statement of a transaction, planned once per connection, its values by name.

    `sql` has %(name)s in the places of the values, as Django's cursors take it; `types` has the
    type of each. A connection whose plan turns out to be unfit fails that transaction, and asks
    without a plan from then on: whoever runs it must be ready to run it again.
    """

    def __init__(self, name: str, sql: str, *, types: Mapping[str, str]) -> None:
        plan = f"{name}_{blake2b(sql.encode(), digest_size=4).hexdigest()}"
        places = {one: place for place, one in enumerate(types, start=1)}
        numbered = re.sub(r"%\((\w+)\)s", lambda found: f"${places[found[1]]}", sql)
        body = numbered.replace("%%", "%")
        self.execute = f"EXECUTE {plan} ({', '.join(f'%({one})s' for one in types)})"
        types_of = ", ".join(types.values())
        self.prepare = f"PREPARE {plan} ({types_of}) AS {body.replace('%', '%%')}; {self.execute}"
        self.plain = sql
        self.planned: WeakSet[Any] = WeakSet()  # the connections that have the plan
        self.unfit: WeakSet[Any] = WeakSet()  # and those that lost it once

    def fetch_all(self, values: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        """All rows. Raises `django.db.Error` as a cursor of Django's does."""
        # A list is one value to quote and to parse, not as many as it has.
        values = {
            name: array(one) if isinstance(one, list) else one for name, one in values.items()
        }
        django = connections["default"]
        django.ensure_connection()
        link = django.connection
        with django.wrap_database_errors, link.cursor() as cursor:
            try:
                cursor.execute(self._words(link), values)
            except UNFIT_PLAN:
                self.unfit.add(link)
                raise
            self.planned.add(link)
            rows: list[tuple[Any, ...]] = cursor.fetchall()
            return rows

    def _words(self, link: Any) -> str:
        if link in self.unfit:
            return self.plain
        return self.execute if link in self.planned else self.prepare
