"""Telling people from the machines that open and click for them."""

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

from django.db import connection
from django.db.models import QuerySet

from delivery import interactions
from delivery.interactions import About, Deed
from delivery.models import Interaction, Message

# Crawlers, link scanners of mail gateways, and previews in chats. Programs that people write
# themselves (curl, scripts) are not here: nobody opens mail with those by the million.
BOTS: Final = re.compile(
    r"bot\b|bot/|crawler|spider|slurp|facebookexternalhit|whatsapp|telegram|skypeuripreview"
    r"|slack-|slackbot|discord|embedly|vkshare|preview"
    r"|barracuda|proofpoint|mimecast|safelinks|forcepoint|symantec|trendmicro|fortinet|messagelabs"
    r"|ironport|cloudmark|zscaler|virustotal|urlscan|headlesschrome|phantomjs",
    re.IGNORECASE,
)
# What Apple's mail privacy fetches pictures with, whether or not anybody opens the mail.
APPLE_PRIVACY: Final = "Mozilla/5.0"
PREFETCH: Final = ("Purpose", "X-Purpose", "Sec-Purpose", "X-Moz")
FETCHED_AHEAD: Final = re.compile(r"prefetch|prerender|preview", re.IGNORECASE)


def is_machine(method: str, headers: Mapping[str, str]) -> bool:
    """Known signals only: a missed gateway is counted, a person never is not."""
    agent = headers.get("User-Agent", "").strip()
    return (
        method == "HEAD"
        or agent == APPLE_PRIVACY
        or BOTS.search(agent) is not None
        or any(FETCHED_AHEAD.search(headers.get(name, "")) for name in PREFETCH)
    )


# A mail gateway tries links the moment the mail comes in, and tries several at once.
SOONEST: Final = timedelta(seconds=2)  # after the provider took it: no person is that fast
TOGETHER: Final = timedelta(seconds=1)  # nor follows two links in that time
AROUND_A_TRAP: Final = timedelta(seconds=60)
FOUND_OUT: Final = AROUND_A_TRAP + timedelta(seconds=5)  # with the time that a request may take
SCANNED: Final = ("email", "sms")  # a push may be touched as soon as it rings
GIVE: Final = """
UPDATE delivery_interaction SET machine = true, key = gen_random_uuid(), untold_link = NULL
WHERE profile_id = %s AND message_id = %s AND kind IN ('click', 'open', 'impression')
  AND NOT machine AND ts BETWEEN %s AND %s
"""


def is_too_soon(message: Message, *, now: datetime) -> bool:
    sent_at = message.finished_at or message.marked_at
    return message.channel in SCANNED and sent_at is not None and abs(now - sent_at) < SOONEST


def is_trapped(about: About, *, now: datetime) -> bool:
    """Whether the link for machines was followed a moment ago."""
    return (
        _around(about, now=now, within=AROUND_A_TRAP).filter(kind=Interaction.Kind.TRAP).exists()
    )


def is_given_away(message: Message, *, now: datetime) -> bool:
    """Whether its time, or what was followed a moment ago, says that no person does this."""
    return is_too_soon(message, now=now) or is_trapped(interactions.about(message), now=now)


def is_hasty(deed: Deed) -> bool:
    """Whether another link of the message was followed at the same time as this one."""
    clicks = _around(deed.about, now=deed.ts, within=TOGETHER).filter(kind=deed.kind)
    same = (deed.key, deed._replace(machine=not deed.machine).key)
    return clicks.exclude(key__in=same).exists()


def give(about: About, *, now: datetime, within: timedelta) -> int:
    """What was opened, clicked and shown of the message around now was a machine's; how much.

    They get new keys: the person may still come and be counted.
    """
    with connection.cursor() as cursor:
        cursor.execute(GIVE, [about.profile_id, about.message_id, now - within, now + within])
        return int(cursor.rowcount)


def _around(about: About, *, now: datetime, within: timedelta) -> QuerySet[Interaction]:
    return Interaction.objects.filter(
        profile_id=about.profile_id,
        message_id=about.message_id,
        ts__range=(now - within, now + within),
    )
