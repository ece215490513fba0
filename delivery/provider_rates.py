"""The rates of a channel's providers, where it has several: the draft says which one it goes to.

So their tokens are taken between composing and the mark. What finds none is planned for when
there is one, behind what its run has planned so before: planned for at once, the same messages
would be claimed and composed each second, and the runs behind them would wait.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Final
from uuid import UUID

from delivery import policy, rates
from delivery.channels.base import Channel, SharedChannel
from delivery.drafts import Draft
from delivery.models import Message
from engage.lib import redis

# A rate that was raised shows within this time: what it kept waiting asks again.
LONGEST_WAIT_SECONDS: Final = 3_600

# KEYS: of each run, until when its places are given away. ARGV: the longest wait, then for each
# how many seconds its new places take. Answers after how many seconds they begin.
BOOK: Final = """
local time = redis.call('TIME')
local now = time[1] + time[2] / 1e6
local waits = {}
for i, key in ipairs(KEYS) do
  local begin = math.max(now, tonumber(redis.call('GET', key) or 0))
  local done = math.min(begin + ARGV[i + 1], now + ARGV[1])
  redis.call('SET', key, string.format('%.6f', done), 'EX', ARGV[1])
  waits[i] = string.format('%.6f', begin - now)
end
return waits
"""


class Tokens:
    """Which tokens the messages of a claim hold. Only a call uses them up."""

    def __init__(self, granted: rates.Granted, messages: Sequence[Message]) -> None:
        self.rates = granted.providers
        self.held: dict[UUID, list[str]] = {}  # message → the scopes; nothing without any rate
        if granted.rated or granted.providers:
            self.held = {m.id: list(granted.rated.get(m.run_id, ())) for m in messages}

    def take(
        self, adapter: Channel, drafted: Sequence[tuple[Message, Draft]]
    ) -> dict[UUID, float]:
        """Of each message that its provider has no token for now: seconds until there is one.

        Its other tokens are given back.
        """
        if not self.rates or not isinstance(adapter, SharedChannel):
            return {}
        waiting: dict[str, list[Message]] = defaultdict(list)
        for message, draft in drafted:
            waiting[adapter.provider_of(draft)].append(message)
        late: dict[UUID, float] = {}
        for provider in self.rates:
            messages = sorted(waiting[provider], key=_turn)
            rate = {provider: self.rates[provider]}
            granted = rates.take(rate, wanted=len(messages))
            for message in messages[:granted]:
                self.held[message.id].append(provider)
            late |= _book(messages[granted:], provider=provider, per_minute=rate[provider])
        self.give_back(late)
        return late

    def use(self, messages: Iterable[Message]) -> None:
        for message in messages:
            self.held.pop(message.id, None)

    def give_back(self, ids: Iterable[UUID] | None = None) -> None:
        """The tokens of these messages; None: of all that were not handed over."""
        unused = [self.held.pop(one, []) for one in (list(self.held) if ids is None else ids)]
        rates.put_back(Counter(chain.from_iterable(unused)))


def list_providers(adapter: Channel) -> Sequence[str]:
    """Those that may have a rate of their own: none where the channel is the provider."""
    return adapter.providers if isinstance(adapter, SharedChannel) else ()


def _turn(message: Message) -> tuple[bool, bool, float]:
    """In the order of the claim: what somebody waits for goes before a campaign."""
    return (
        message.kind not in policy.AWAITED,
        message.kind != policy.TRIGGERED,
        message.not_before.timestamp(),
    )


def _book(messages: Sequence[Message], *, provider: str, per_minute: int) -> dict[UUID, float]:
    """Seconds until each has its token. Each run counts by itself: others may end or be cancelled,
    and a password must not wait for the places of a campaign. Who comes too early waits again.
    """
    by_run: dict[int | None, list[Message]] = defaultdict(list)
    for message in messages:
        by_run[message.run_id].append(message)
    if not by_run:
        return {}
    each = 60 / per_minute
    waits = redis.client().register_script(BOOK)(
        keys=[redis.key("rate", provider, "booked", run_id) for run_id in by_run],
        args=[LONGEST_WAIT_SECONDS, *(each * len(run) for run in by_run.values())],
    )
    return {
        message.id: min(float(wait) + place * each, LONGEST_WAIT_SECONDS)
        for wait, run in zip(waits, by_run.values(), strict=True)
        for place, message in enumerate(run, start=1)
    }
