"""How fast messages go: token buckets in Redis, filled by its clock and taken by one script.

A bucket holds what a second allows, so that nothing goes out in bursts. Redis may forget them:
then a second's worth is free.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from math import ceil
from typing import Final

from delivery import outbox
from delivery.models import SendRate
from engage.lib import redis

# KEYS: buckets. ARGV: how many are wanted, then of each bucket its size and what a second brings.
# All buckets give the same number, or none does.
TAKE: Final = """
local time = redis.call('TIME')
local now = time[1] + time[2] / 1e6
local granted = tonumber(ARGV[1])
local tokens = {}
for i, key in ipairs(KEYS) do
  local size, a_second = tonumber(ARGV[2 * i]), tonumber(ARGV[2 * i + 1])
  local held = redis.call('HMGET', key, 'tokens', 'at')
  local passed = math.max(0, now - tonumber(held[2] or 0))
  tokens[i] = math.min(size, tonumber(held[1] or size) + passed * a_second)
  granted = math.min(granted, math.floor(tokens[i]))
end
for i, key in ipairs(KEYS) do
  local left, at = tokens[i] - granted, string.format('%d.%06d', time[1], time[2])
  redis.call('HSET', key, 'tokens', string.format('%.6f', left), 'at', at)
  redis.call('EXPIRE', key, 3600)
end
return granted
"""


@dataclass(frozen=True, slots=True)
class Granted:
    """`most` by run; None: nothing holds this channel or its runs back."""

    channel: str
    most: Mapping[int | None, int] | None = None
    rated: Mapping[int | None, Sequence[str]] = field(default_factory=dict)  # run → its buckets
    providers: Mapping[str, int] = field(default_factory=dict)  # with a rate → messages a minute


def grant(channel: str, *, limit: int, now: datetime, providers: Sequence[str] = ()) -> Granted:
    """How many messages of each due run may go now, in the order of the claim.

    `providers`: those of the channel that may have rates of their own, see `provider_rates`.

    None takes more than it has due: the rest would be given back too late for the runs behind it,
    and a campaign would starve behind one password a second.
    """
    if not SendRate.objects.exists():
        return Granted(channel)
    runs = [run_id for run_id, _ in outbox.list_due_runs(channel, now=now)]
    scopes = [channel, *(run_scope(run_id) for run_id in runs if run_id is not None), *providers]
    rates = dict(SendRate.objects.filter(scope__in=scopes).values_list("scope", "per_minute"))
    theirs = {scope: rates.pop(scope) for scope in providers if scope in rates}
    if not rates:
        return Granted(channel, providers=theirs)
    most: dict[int | None, int] = {}
    rated: dict[int | None, Sequence[str]] = {}
    for run_id in runs:
        own = [channel] if run_id is None else [channel, run_scope(run_id)]
        rated[run_id] = [scope for scope in own if scope in rates]
        wanted = limit
        if rated[run_id]:
            wanted = outbox.count_due(run_id, channel=channel, limit=limit, now=now)
        most[run_id] = take({scope: rates[scope] for scope in rated[run_id]}, wanted=wanted)
    return Granted(channel, most, rated, theirs)


def run_scope(run_id: int) -> str:
    return f"run {run_id}"


def set_rate(scope: str, *, per_minute: int) -> None:
    """In the caller's transaction."""
    SendRate.objects.update_or_create(scope=scope, defaults={"per_minute": per_minute})


def take(rates: Mapping[str, int], *, wanted: int) -> int:
    """So many tokens of every scope, at most `wanted`. `rates`: scope → messages a minute."""
    if not rates or wanted <= 0:
        return max(wanted, 0)
    keys = [bucket(scope) for scope in rates]
    sizes: list[float] = []
    for per_minute in rates.values():
        sizes += (max(1, ceil(per_minute / 60)), per_minute / 60)
    client = redis.client()
    return int(client.register_script(TAKE)(keys=keys, args=[wanted, *sizes]))


def give_back(granted: Granted, *, used: Mapping[int | None, int]) -> None:
    """What was granted and found no message."""
    unused: Counter[str] = Counter()
    for run_id, most in (granted.most or {}).items():
        for scope in granted.rated[run_id]:
            unused[scope] += max(0, most - used.get(run_id, 0))
    put_back(unused)


def put_back(tokens: Mapping[str, int]) -> None:
    """`tokens`: scope → how many. A bucket still holds no more than its size."""
    for scope, count in tokens.items():
        if count > 0:
            redis.client().hincrbyfloat(bucket(scope), "tokens", count)


def bucket(scope: str) -> str:
    return redis.key("rate", scope)
