"""How many people a rule gives, and how many of them each channel can reach now."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import connection

from campaigns.segments.query import profile_ids_sql
from campaigns.segments.rules import Rule

COUNT = """
WITH member AS MATERIALIZED ({members}),
consent AS (
  SELECT c.profile_id, c.channel, c.status FROM profiles_consent c
  WHERE c.topic = '' AND c.profile_id IN (SELECT id FROM member)
)
SELECT
  count(*),
  count(*) FILTER (WHERE coalesce(p.attributes->>'email', '') <> '' AND EXISTS (
    SELECT 1 FROM consent c
    WHERE c.profile_id = p.id AND c.channel = 'email' AND c.status = 'opted_in')),
  count(*) FILTER (WHERE EXISTS (
    SELECT 1 FROM profiles_device d
    WHERE d.profile_id = p.id AND d.token <> '' AND left(d.token, 1) <> '{{'
      AND d.gone_at IS NULL) AND NOT EXISTS (
    SELECT 1 FROM consent c
    WHERE c.profile_id = p.id AND c.channel = 'push' AND c.status = 'opted_out')),
  count(*) FILTER (WHERE EXISTS (
    SELECT 1 FROM profiles_device d
    WHERE d.profile_id = p.id AND lower(d.platform) = 'web' AND left(d.token, 1) = '{{'
      AND d.gone_at IS NULL) AND NOT EXISTS (
    SELECT 1 FROM consent c
    WHERE c.profile_id = p.id AND c.channel = 'web_push' AND c.status = 'opted_out')),
  count(*) FILTER (WHERE coalesce(p.attributes->>'phone', '') <> '' AND EXISTS (
    SELECT 1 FROM consent c
    WHERE c.profile_id = p.id AND c.channel = 'sms' AND c.status = 'opted_in')),
  count(*) FILTER (WHERE NOT EXISTS (
    SELECT 1 FROM consent c
    WHERE c.profile_id = p.id AND c.channel = 'webhook' AND c.status = 'opted_out')),
  count(*) FILTER (WHERE NOT EXISTS (
    SELECT 1 FROM consent c
    WHERE c.profile_id = p.id AND c.channel = 'in_app' AND c.status = 'opted_out')),
  count(*) FILTER (WHERE NOT EXISTS (
    SELECT 1 FROM consent c
    WHERE c.profile_id = p.id AND c.channel = 'inbox' AND c.status = 'opted_out'))
FROM profiles_profile p JOIN member ON member.id = p.id
"""


@dataclass(frozen=True, slots=True)
class Reach:
    """Suppressed addresses still count: only the door of delivery knows them."""

    people: int
    email: int
    push: int
    web_push: int
    sms: int
    webhook: int
    in_app: int
    inbox: int


def count(rule: Rule, *, now: datetime) -> Reach:
    members, parameters = profile_ids_sql(rule, now=now)
    with connection.cursor() as cursor:
        cursor.execute(COUNT.format(members=members), parameters)
        row = cursor.fetchone()
    return Reach(*row)


def list_members(
    rule: Rule,
    *,
    now: datetime,
    limit: int | None = None,
    after: int | None = None,
    upto: int | None = None,
    among: Sequence[int] | None = None,
) -> list[int]:
    """The first profile ids of a segment, ascending; `among` these alone where they are given."""
    members, parameters = profile_ids_sql(rule, now=now, after=after, upto=upto, among=among)
    with connection.cursor() as cursor:
        cursor.execute(f"{members} LIMIT %s", [*parameters, limit])
        return [row[0] for row in cursor.fetchall()]
