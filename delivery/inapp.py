"""The token of a message that the app shows itself: signed facts that its events bring back."""

from collections.abc import Sequence
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from engage.lib.signing import sign, unsign

PURPOSE = "in-app"


class TokenItem(NamedTuple):
    item: str
    position: int  # 1 first
    price: str = ""  # when it was shown; "": it had none
    more: dict[str, Any] | None = None  # the rest of its entry in the ledger


class Facts(msgspec.Struct, array_like=True, frozen=True):
    """What we knew when the message was made; what the app says about it is not believed."""

    message_id: UUID
    profile_id: int
    campaign_id: int
    variant_id: int
    run_id: int | None
    channel: str
    items: list[TokenItem]


def make_token(
    *,
    message_id: UUID,
    profile_id: int,
    campaign_id: int,
    variant_id: int,
    items: Sequence[TokenItem | tuple[str, int] | tuple[str, int, str]] = (),
    run_id: int | None = None,
    channel: str = "in_app",
) -> str:
    """`items`: every product shown, or the first fields of a `TokenItem`."""
    facts = Facts(
        message_id,
        profile_id,
        campaign_id,
        variant_id,
        run_id,
        channel,
        [TokenItem(*item) for item in items],
    )
    return sign(msgspec.msgpack.encode(facts), purpose=PURPOSE)


def read_token(token: object) -> Facts | None:
    """None for anything that we did not make."""
    payload = unsign(token, purpose=PURPOSE) if isinstance(token, str) else None
    if payload is None:
        return None
    try:
        return msgspec.msgpack.decode(payload, type=Facts)
    except msgspec.DecodeError:  # made by an older release
        return None
