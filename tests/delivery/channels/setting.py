"""A channel, its provider, and the names of the same fault in its provider's words."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from delivery.drafts import Content, Draft
from tests.providers import ledger


@dataclass(kw_only=True)
class Setting:
    channel: Any
    provider: Any
    address: Callable[[str], str]  # of the person with this name
    content: Callable[[uuid.UUID], Content]  # of a message with this key
    match: Callable[[str], str]  # the part of the address by which a fault finds the person
    make_elsewhere: Callable[[int], Any]  # the channel with its provider at this port
    too_large: Content
    gone: str
    later: str
    malformed: str = "html"  # empty: any answer will do, or its length is bounded elsewhere
    endless: str = "huge"
    chatty: str = "chatty"
    too_large_reason: str = "payload_too_large"
    platform: str = ""
    is_one_provider: bool = True  # when it is away, it is away for everybody
    address_elsewhere: Callable[[str], str] | None = None

    def draft(self, name: str, *, elsewhere: bool = False) -> Draft:
        address = (self.address_elsewhere if elsewhere else None) or self.address
        key = uuid.uuid4()
        return Draft(
            message_id=uuid.uuid4(),
            key=key,
            address=address(name) if name else "",
            content=self.content(key),
            platform=self.platform,
        )

    def play(self, action: str, name: str = "", **fields: object) -> None:
        match = self.match(name) if name else ""
        self.provider.faults.play(action, match=match, **fields)

    def accepted(self) -> list[str]:
        return [line["key"] for line in ledger.read(self.provider.ledger.path)]


class InboxSetting(Setting):
    """Its ledger is the table of inboxes, where a message has its own id."""

    def draft(self, name: str, *, elsewhere: bool = False) -> Draft:
        draft = super().draft(name, elsewhere=elsewhere)
        return replace(draft, message_id=draft.key)

    def accepted(self) -> list[str]:
        return [str(one.id) for one in self.provider.kept()]
