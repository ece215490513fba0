"""Links in messages: tracked clicks and opens, and the way out. Targets live in the database.

A token says whom it was made for and which row of `Link` it leads to, never an address on the web:
nobody can make our host redirect somewhere else.
"""

import html as html_text
import re
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, NamedTuple
from urllib.parse import urlsplit
from uuid import UUID

from django.conf import settings
from django.db import connection

from delivery.models import Link, Message
from engage.lib.ids import digest16
from engage.lib.signing import sign, signer, unsign

CLICK, OPEN, UNSUBSCRIBE, STATUS, TRAP = "click", "open", "unsubscribe", "sms status", "trap"
WHO: Final = struct.Struct(">Q16s")  # profile, message
WHERE: Final = struct.Struct(">16sH")  # the link's digest, position (0: none)
LONGEST_URL = 2_048
FORBIDDEN: Final = re.compile(r"[\x00-\x20\x7f-\xa0\\\u2028\u2029]")
HREF: Final = re.compile(
    r"""(<a(?:rea)?\b[^>]*?\shref\s*=\s*)("[^"]*"|'[^']*')""", re.IGNORECASE | re.DOTALL
)


UNSEEN: Final = 'rel="nofollow" tabindex="-1" aria-hidden="true" style="display:none"'
INSERT: Final = """
INSERT INTO delivery_link (digest, url, created_at)
SELECT digest, url, clock_timestamp() FROM unnest(%s::uuid[], %s::text[]) AS t (digest, url)
ON CONFLICT (digest) DO NOTHING
"""
MOST_KEPT = 100_000  # targets that a process knows to be written
kept: dict[str, bytes] = {}  # with their digests


class ShownItem(NamedTuple):
    """A product in a message: links to its page count for it."""

    url: str
    item: str
    position: int  # 1 first


@dataclass(frozen=True, slots=True)
class Click:
    profile_id: int
    message_id: UUID
    link: UUID
    item: str
    position: int | None


@dataclass(frozen=True, slots=True)
class Recipient:
    profile_id: int
    message_id: UUID


@dataclass(frozen=True, slots=True)
class WayOut:
    """Enough to unsubscribe by, also when the message's row is long gone."""

    profile_id: int
    message_id: UUID
    channel: str
    topic: str


class Tracker:
    """Makes the addresses that count the clicks on one message."""

    def __init__(self, message: Message) -> None:
        self.who = _who(message)
        self.base = f"{settings.PUBLIC_URL}/t/c/"
        self.sign = signer(CLICK)

    def link(self, url: str, item: str = "", position: int | None = None) -> str:
        """Our address that leads to `url`; `url` itself when we must not track it.

        The row of its target is written when it is new.
        """
        digest = kept.get(url)
        if digest is None:
            link = find_link(url, public_url=settings.PUBLIC_URL)
            if link is None:
                return url
            keep([url])
            digest = link.bytes
        return self.base + self.sign(self.who + WHERE.pack(digest, position or 0) + item.encode())


def link_token(message: Message, url: str, *, item: str = "", position: int | None = None) -> str:
    return Tracker(message).link(url, item, position)


def open_url(message: Message) -> str:
    return f"{settings.PUBLIC_URL}/t/o/{sign(_who(message), purpose=OPEN)}"


def unsubscribe_url(message: Message) -> str:
    payload = _who(message) + f"{message.channel}\x00{message.topic}".encode()
    return f"{settings.PUBLIC_URL}/u/{sign(payload, purpose=UNSUBSCRIBE)}"


def status_url(message: Message) -> str:
    """Where an SMS provider tells what became of the message; empty while none could reach us."""
    if not settings.PUBLIC_URL.startswith("https://"):
        return ""
    return f"{settings.PUBLIC_URL}/hooks/twilio/{sign(_who(message), purpose=STATUS)}"


def trap_url(message: Message) -> str:
    """Where no person can get: who follows it is a machine."""
    return f"{settings.PUBLIC_URL}/t/n/{sign(_who(message), purpose=TRAP)}"


def tracked_html(html: str, message: Message, items: Iterable[ShownItem] = ()) -> str:
    """The HTML with its links tracked; the pixel and a link for machines at its end.

    A link to a product's page counts for that product. What is no web address, our own links
    included, stays as it is.
    """
    places: dict[str, ShownItem] = {}
    for shown in items:
        places.setdefault(shown.url, shown)
    tracker, ours = Tracker(message), our_own()

    def tracked(found: re.Match[str]) -> str:
        url = html_text.unescape(found[2][1:-1]).strip()
        # Most links of a mail with products are tracked already when they come here.
        if url.startswith(ours):
            return found[0]
        place = places.get(url)
        link = tracker.link(url, place.item, place.position) if place else tracker.link(url)
        return found[0] if link == url else f'{found[1]}"{html_text.escape(link)}"'

    pixel = f'<img src="{open_url(message)}" width="1" height="1" alt="" style="border:0">'
    trap = f'<a href="{trap_url(message)}" {UNSEEN}></a>'
    linked = HREF.sub(tracked, html)
    head, body_end, tail = linked.rpartition("</body>")
    return f"{head}{pixel}{trap}{body_end}{tail}" if body_end else f"{linked}{pixel}{trap}"


@lru_cache(maxsize=100_000)
def find_link(url: str, *, public_url: str) -> UUID | None:
    """The number of a target; None where we must not lead."""
    return digest16(url) if is_safe_target(url) else None


def keep(urls: Iterable[str]) -> None:
    """Write the targets that are new, all at once: a batch of messages has many."""
    public_url = settings.PUBLIC_URL
    unknown = set(urls) - kept.keys()
    new = {url: link for url in unknown if (link := find_link(url, public_url=public_url))}
    if not new:
        return
    with connection.cursor() as cursor:
        cursor.execute(INSERT, [list(map(str, new.values())), list(new)])
    if not connection.in_atomic_block:  # which may be undone
        kept.update((url, link.bytes) for url, link in new.items())
        while len(kept) > MOST_KEPT:
            kept.pop(next(iter(kept)))


def is_safe_target(url: str) -> bool:
    """A plain web address of somebody else: what every browser and we read alike."""
    if url.startswith(our_own()):
        return False
    if not 8 <= len(url) <= LONGEST_URL or FORBIDDEN.search(url):
        return False
    try:
        url.encode()
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:  # half a character, half an IPv6 address, a port of 99999
        return False
    plain_host = bool(parts.hostname) and not re.search(r"[@%]", parts.netloc)
    return parts.scheme in {"http", "https"} and plain_host


def our_own() -> tuple[str, str]:
    return f"{settings.PUBLIC_URL}/t/", f"{settings.PUBLIC_URL}/u/"


def read_click(token: str) -> Click | None:
    payload = unsign(token, purpose=CLICK)
    if payload is None or len(payload) < WHO.size + WHERE.size:
        return None
    profile_id, message = WHO.unpack_from(payload)
    link, position = WHERE.unpack_from(payload, WHO.size)
    return Click(
        profile_id,
        UUID(bytes=message),
        UUID(bytes=link),
        payload[WHO.size + WHERE.size :].decode(),
        position or None,
    )


def read_open(token: str) -> Recipient | None:
    return _read_who(token, OPEN)


def read_trap(token: str) -> Recipient | None:
    return _read_who(token, TRAP)


def read_status(token: str) -> Recipient | None:
    return _read_who(token, STATUS)


def _read_who(token: str, purpose: str) -> Recipient | None:
    payload = unsign(token, purpose=purpose)
    if payload is None:
        return None
    profile_id, message = WHO.unpack(payload)
    return Recipient(profile_id, UUID(bytes=message))


def read_unsubscribe(token: str) -> WayOut | None:
    payload = unsign(token, purpose=UNSUBSCRIBE)
    if payload is None:
        return None
    profile_id, message = WHO.unpack_from(payload)
    channel, topic = payload[WHO.size :].decode().split("\x00")
    return WayOut(profile_id, UUID(bytes=message), channel, topic)


def find_target(link: UUID) -> str | None:
    """Where a link leads; checked again, in case the row was written by other hands."""
    url = Link.objects.filter(digest=link).values_list("url", flat=True).first()
    return url if url and is_safe_target(url) else None


def forget_kept() -> None:
    """For tests, whose rows vanish."""
    kept.clear()
    find_link.cache_clear()


def _who(message: Message) -> bytes:
    return WHO.pack(message.profile_id, message.id.bytes)
