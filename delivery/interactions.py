"""Writing down what people did with messages, each deed once."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final, NamedTuple
from uuid import UUID

from django.db import connection

from delivery.models import Interaction, Message
from engage.lib.ids import digest16, uuid7

Kind = Interaction.Kind
COLUMNS: Final = (
    ("profile_id", "bigint"),
    ("id", "uuid"),
    ("key", "uuid"),
    ("message_id", "uuid"),
    ("campaign_id", "bigint"),
    ("run_id", "bigint"),
    ("variant_id", "bigint"),
    ("channel", "text"),
    ("kind", "text"),
    ("item_id", "text"),
    ("position", "smallint"),
    ("machine", "boolean"),
    ("ts", "timestamptz"),
    ("untold_link", "uuid"),
)
NAMES: Final = ", ".join(name for name, _ in COLUMNS)
ARRAYS: Final = ", ".join(f"%s::{kind}[]" for _, kind in COLUMNS)
ADD: Final = f"""
INSERT INTO delivery_interaction ({NAMES}) SELECT * FROM unnest({ARRAYS})
ON CONFLICT (profile_id, key) DO NOTHING
"""  # noqa: S608


class About(NamedTuple):
    """The message that something was done with."""

    profile_id: int
    message_id: UUID
    campaign_id: int
    run_id: int | None
    variant_id: int
    channel: str


class Deed(NamedTuple):
    about: About
    kind: Kind
    ts: datetime
    item: str = ""
    position: int | None = None
    link: str = ""  # tells two links of one message apart
    machine: bool = False
    untold_link: UUID | None = None  # of a click that is to become an event

    @property
    def key(self) -> UUID:
        """Reporting twice counts once; a machine's deed does not stand for a person's."""
        who = "machine" if self.machine else "person"
        return digest16(str(self.about.message_id), self.kind, self.item, self.link, who)


def about(message: Message) -> About:
    return About(
        message.profile_id,
        message.id,
        message.campaign_id,
        message.run_id,
        message.variant_id,
        message.channel,
    )


def add(deeds: Iterable[Deed]) -> int:
    """Write the deeds that are new; how many. Safe to run twice."""
    rows = [
        (deed.about.profile_id, uuid7(), deed.key, *deed.about[1:], str(deed.kind), deed.item,
         deed.position, deed.machine, deed.ts, deed.untold_link)
        for deed in deeds
    ]  # fmt: skip
    if not rows:
        return 0
    with connection.cursor() as cursor:
        cursor.execute(ADD, [list(column) for column in zip(*rows, strict=True)])
        return int(cursor.rowcount)


def seen(about: About, items: Sequence[tuple[str, int | None]], *, ts: datetime) -> list[Deed]:
    """The message was on a screen, and with it its products."""
    return [
        Deed(about, Kind.IMPRESSION, ts),
        *(Deed(about, Kind.IMPRESSION, ts, item, position) for item, position in items),
    ]
