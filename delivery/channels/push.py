"""Push to phones: each draft goes to the provider of its device."""

import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import ClassVar, Final

from django.conf import settings

from delivery.channels.apns import DEVICE_TOKEN, ApnsChannel
from delivery.channels.base import Channel
from delivery.channels.fcm import FcmChannel
from delivery.channels.pauses import Pauses, of_this_one
from delivery.drafts import Draft, Outcome, Refused, TryLater, Unknown
from delivery.errors import ChannelUnavailable

logger = logging.getLogger(__name__)

APPLE: Final = {"ios", "ipados"}
FCM: Final = "fcm"
APNS: Final = "apns"


class PushChannel:
    """FCM, and APNs where it is set up: for devices of Apple with a token of APNs."""

    batch_size: ClassVar[int] = 50
    providers: ClassVar[Sequence[str]] = (FCM, APNS)

    def __init__(self) -> None:
        self.apns = ApnsChannel() if settings.APNS_KEY_FILE else None
        # When there is neither, FCM says what is missing.
        wanted = settings.FCM_CREDENTIALS_FILE or self.apns is None
        self.fcm = FcmChannel() if wanted else None
        self.pauses = Pauses()
        self.aside = ThreadPoolExecutor(max_workers=1, thread_name_prefix="push")

    def send(self, drafts: Sequence[Draft]) -> list[Outcome]:
        """Raises ChannelUnavailable when FCM is the only provider and cannot be reached."""
        if self.apns is None and self.fcm is not None:
            return self.fcm.send(drafts)
        apple = [n for n, draft in enumerate(drafts) if self.provider_of(draft) == APNS]
        rest = [n for n, draft in enumerate(drafts) if self.provider_of(draft) == FCM]
        # At the same time: both have to be done before the one deadline.
        waiting = self.aside.submit(self._ask, APNS, self.apns, [drafts[n] for n in apple])
        answers = [*self._ask(FCM, self.fcm, [drafts[n] for n in rest]), *waiting.result()]
        if self.fcm is not None and not (self.pauses.is_on(FCM) and self.pauses.is_on(APNS)):
            answers = [of_this_one(outcome) for outcome in answers]
        found = dict(zip([*rest, *apple], answers, strict=True))
        return [found[n] for n in range(len(drafts))]

    def provider_of(self, draft: Draft) -> str:
        """Where APNs is not set up FCM gets all."""
        return APNS if self.apns is not None and is_for_apns(draft) else FCM

    def _ask(self, name: str, provider: Channel | None, drafts: Sequence[Draft]) -> list[Outcome]:
        """Those that it may get now; one that is away is not asked again at once."""
        going = drafts[: self.pauses.most(name)]
        outcomes = _ask(provider, going)
        self.pauses.learn(name, outcomes)
        return [*outcomes, *[self.pauses.later(name)] * (len(drafts) - len(going))]


def is_for_apns(draft: Draft) -> bool:
    """A device of Apple may also have a token of Firebase, which looks different."""
    return draft.platform in APPLE and DEVICE_TOKEN.fullmatch(draft.address) is not None


def _ask(provider: Channel | None, drafts: Sequence[Draft]) -> list[Outcome]:
    """Whatever happens to one provider, the answers of the other are kept."""
    if not drafts:
        return []
    if provider is None:
        return [Refused("no_provider")] * len(drafts)
    try:
        return provider.send(drafts)
    except ChannelUnavailable as exc:
        return [TryLater("unavailable", exc.retry_after_seconds, everybody=True)] * len(drafts)
    except Exception:
        logger.exception("push provider broke", extra={"provider": type(provider).__name__})
        return [Unknown("channel_broke")] * len(drafts)
