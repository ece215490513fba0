"""What every channel is: one way to reach a device or an address."""

from collections.abc import Sequence
from typing import ClassVar, Protocol, runtime_checkable

from delivery.drafts import Draft, Outcome


class Channel(Protocol):
    """Knows a provider, not our tables; no retries and no redirects of its own."""

    batch_size: ClassVar[int]  # most drafts marked and handed over together

    def send(self, drafts: Sequence[Draft]) -> list[Outcome]:
        """Hand over a batch; answer in the same order, one outcome per draft.

        Ends within PROVIDER_TIMEOUT_SECONDS, whatever the provider does.

        Raises ChannelUnavailable when certainly nothing was sent and the whole batch may be tried
        again later.
        """


@runtime_checkable
class SharedChannel(Channel, Protocol):
    """One that several providers serve: each may have a send rate of its own."""

    providers: ClassVar[Sequence[str]]

    def provider_of(self, draft: Draft) -> str:
        """Who gets the draft; one of `providers`."""
