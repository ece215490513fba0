"""A rule as SQL over profiles and events. `match.py` says the same for one person in memory.

Every leaf is true or false, never null: a missing attribute must not turn a whole `not` to null.
Values travel as parameters only.
"""

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from campaigns.segments.rules import (
    AllOf,
    AnyOf,
    Comparison,
    Did,
    Moment,
    Not,
    Rule,
)

Sql = tuple[str, list[Any]]

MEMBERS = "SELECT p.id FROM profiles_profile p WHERE p.merged_into IS NULL"
DOERS = "SELECT e.profile_id FROM profiles_event e WHERE"
OFTEN = "GROUP BY e.profile_id HAVING count(*) >= %s"

# The products an event is about: `engage.profiles.extract.items`, in SQL.
ITEMS = """EXISTS (
  SELECT 1 FROM (
    SELECT e.properties AS holder
    UNION ALL
    SELECT jsonb_array_elements(
      CASE jsonb_typeof(e.properties->'products')
        WHEN 'array' THEN e.properties->'products' ELSE '[]'::jsonb END)
  ) AS product
  WHERE campaigns_item(product.holder) = ANY(%s))"""


def profile_ids_sql(
    rule: Rule,
    *,
    now: datetime,
    after: int | None = None,
    upto: int | None = None,
    among: Sequence[int] | None = None,
) -> Sql:
    """The ids of the profiles a rule holds for, ascending.

    Of those with `after` < id ≤ `upto`, and of those `among` others, where they are given. The
    bounds reach into the search for events, so that walking the audience in ranges reads each
    event once and not once per range.
    """
    condition, parameters = _Writer(now, after, upto, among).condition(rule)
    bounds, limits = _bounds("p.id", after, upto, among)
    sql = f"{MEMBERS}{bounds} AND {condition} ORDER BY p.id"
    return sql, [*limits, *parameters]


def _bounds(column: str, after: int | None, upto: int | None, among: Sequence[int] | None) -> Sql:
    sql, parameters = "", list[Any]()
    if after is not None:
        sql, parameters = f" AND {column} > %s", [after]
    if upto is not None:
        sql, parameters = f"{sql} AND {column} <= %s", [*parameters, upto]
    if among is not None:
        sql, parameters = f"{sql} AND {column} = ANY(%s)", [*parameters, list(among)]
    return sql, parameters


class _Writer:
    def __init__(
        self,
        now: datetime,
        after: int | None,
        upto: int | None,
        among: Sequence[int] | None,
    ) -> None:
        self.now = now
        self.bounds, self.limits = _bounds("e.profile_id", after, upto, among)

    def condition(self, rule: Rule) -> Sql:
        if isinstance(rule, AllOf):
            return self.joined(rule.rules, " AND ", "true")
        if isinstance(rule, AnyOf):
            return self.joined(rule.rules, " OR ", "false")
        if isinstance(rule, Not):
            sql, parameters = self.condition(rule.rule)
            return f"NOT {sql}", parameters
        if isinstance(rule, Did):
            return self.did(rule)
        return self.comparison(rule, "p.attributes")

    def joined(self, rules: tuple[Rule, ...], word: str, empty: str) -> Sql:
        if not rules:
            return empty, []
        parts = [self.condition(rule) for rule in rules]
        return (
            "(" + word.join(sql for sql, _ in parts) + ")",
            [parameter for _, parameters in parts for parameter in parameters],
        )

    def did(self, rule: Did) -> Sql:
        where, parameters = f"e.name = %s{self.bounds}", [rule.event, *self.limits]
        if rule.within_days is not None:
            where += " AND e.ts >= %s"
            parameters.append(self.now - timedelta(days=rule.within_days))
        if rule.items:
            where += f" AND {ITEMS}"
            parameters.append(list(rule.items))
        for comparison in rule.where:
            sql, more = self.comparison(comparison, "e.properties")
            where += f" AND {sql}"
            parameters += more
        return f"(p.id IN ({DOERS} {where} {OFTEN}))", [*parameters, rule.at_least]

    def comparison(self, comparison: Comparison, column: str) -> Sql:
        name, op, value = comparison.name, comparison.op, comparison.value
        at = f"{column}->%s"
        if op == "is set":
            return f"(coalesce(jsonb_typeof({at}), 'null') <> 'null')", [name]
        if op == "is not set":
            return f"(coalesce(jsonb_typeof({at}), 'null') = 'null')", [name]
        if op == "=":
            return _sure(f"{at} = %s::jsonb"), [name, _json(value)]
        if op == "!=":
            return f"NOT {_sure(f'{at} = %s::jsonb')}", [name, _json(value)]
        if isinstance(value, tuple):
            return _sure(f"{at} = ANY(%s::jsonb[])"), [name, [_json(one) for one in value]]
        if op == "contains":
            return _contains(at, name, value)
        if op == "starts with":
            text = f"jsonb_typeof({at}) = 'string' AND starts_with({column}->>%s, %s)"
            return _sure(text), [name, name, value]
        if isinstance(value, Moment):
            sign = "<" if op == "before" else ">"
            return _sure(f"campaigns_time({at}) {sign} %s"), [name, value.resolve(self.now)]
        number = f"jsonb_typeof({at}) = 'number' AND {at} {op} %s::jsonb"
        return _sure(number), [name, name, _json(value)]


def _contains(at: str, name: str, value: object) -> Sql:
    """An element of a list, or a part of a text."""
    element = f"jsonb_typeof({at}) = 'array' AND {at} @> %s::jsonb"
    parameters: list[Any] = [name, name, _json([value])]
    if not isinstance(value, str):
        return _sure(element), parameters
    part = f"jsonb_typeof({at}) = 'string' AND strpos({at} #>> '{{}}', %s) > 0"
    return f"({_sure(element)} OR {_sure(part)})", [*parameters, name, name, value]


def _sure(condition: str) -> str:
    return f"coalesce({condition}, false)"


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
