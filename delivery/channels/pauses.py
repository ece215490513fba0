"""A pause for one of a channel's providers, where those that are there go on."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from delivery import policy
from delivery.drafts import Accepted, Outcome, TryLater, Unknown

MOST_PROVIDERS = 1_000  # of browsers, whose clients choose them


class Pauses:
    """Who is left alone, and until when; known to one process only.

    After a pause one draft finds out whether the provider is back: each more could be unknown.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self.until: dict[str, float] = {}

    def most(self, provider: str) -> int | None:
        """How many drafts may go to it now; None: all."""
        if provider not in self.until:
            return None
        return 0 if self.is_on(provider) else 1

    def is_on(self, provider: str) -> bool:
        return self._left(provider) > 0

    def later(self, provider: str) -> TryLater:
        """What is said of a draft that was not handed over."""
        left = self._left(provider)
        return TryLater("provider_paused", left or None, everybody=left > 0)

    def learn(self, provider: str, outcomes: Sequence[Outcome]) -> None:
        if any(isinstance(outcome, Accepted) for outcome in outcomes):
            self.until.pop(provider, None)
            return
        away = [o for o in outcomes if isinstance(o, TryLater | Unknown) and o.everybody]
        if away:
            if len(self.until) >= MOST_PROVIDERS:
                self.until.clear()
            asked = [o.retry_after_seconds or 0.0 for o in away if isinstance(o, TryLater)]
            pause = policy.pause_seconds(1, retry_after_seconds=max(asked, default=0.0))
            # Nobody can lift it: who asks for a day is asked again before.
            self.until[provider] = self.clock() + min(pause, policy.LONGEST_PAUSE_SECONDS)

    def _left(self, provider: str) -> float:
        return max(self.until.get(provider, 0.0) - self.clock(), 0.0)


def of_this_one(outcome: Outcome) -> Outcome:
    """One provider that is away must not pause the channel, and with it the others."""
    if isinstance(outcome, TryLater | Unknown):
        return replace(outcome, everybody=False)
    return outcome
