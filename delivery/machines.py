"""Telling people from the machines that open and click for them."""

import re
from collections.abc import Mapping
from typing import Final

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
