"""What it costs to hand a message over: the channel alone, without the ledger.

    python -m benchmarks.hand_over [push|apple|email …] [--rounds 9]

CPU µs of this process a message, threads included: the median of the rounds, and the least. The
local providers run in processes of their own and do not count.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import Sequence
from typing import Any, Final

MESSAGES = 1_000  # a round
PROVIDERS: Final = {"push": "fcm", "apple": "apns", "email": "smtp"}
WORDS: Final = "We picked these for you from what came in this week. "


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.hand_over", description=__doc__)
    parser.add_argument("channels", nargs="*", metavar="CHANNEL", default=list(PROVIDERS))
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="engage-bench-") as folder:
        os.environ["ENGAGE_DATA_DIR"] = folder
        os.environ.setdefault("SECRET_KEY", "a key for benchmarks only, of no use anywhere")
        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "engage.settings")
        import django

        django.setup()
        for channel in options.channels:
            costs = measure(channel, rounds=options.rounds)
            print(
                f"{channel:5} median {statistics.median(costs):6.1f}, least {min(costs):6.1f}"
                f" µs a message ({len(costs)} × {MESSAGES:,})",
                flush=True,
            )


def measure(channel: str, *, rounds: int) -> list[float]:
    from benchmarks.fan_out import provider

    with provider(PROVIDERS[channel]) as facts:
        adapter = make_adapter(channel, facts)
        send(adapter, make_drafts(channel, 100))  # connected, and everything loaded
        return [cost_of(adapter, make_drafts(channel, MESSAGES)) for _ in range(rounds)]


def make_adapter(channel: str, facts: Any) -> Any:
    from django.conf import settings

    from benchmarks.fan_out import use
    from delivery.channels.apns import ApnsChannel
    from delivery.channels.fcm import FcmChannel
    from delivery.channels.smtp import SmtpChannel

    if channel != "apple":
        use(channel, facts)
        return FcmChannel() if channel == "push" else SmtpChannel()
    settings.CA_FILE, settings.APNS_URL = facts["ca_file"], facts["url"]
    settings.APNS_KEY_FILE, settings.APNS_KEY_ID = facts["key_file"], facts["key_id"]
    settings.APNS_TEAM_ID, settings.APNS_TOPIC = facts["team_id"], facts["topic"]
    return ApnsChannel()


def make_drafts(channel: str, count: int) -> list[Any]:
    from delivery.drafts import Draft

    return [
        Draft(
            message_id=uuid.uuid4(),
            key=uuid.uuid4(),
            address=f"p{n}@shop.example" if channel == "email" else f"{n:064x}",
            content=make_content(channel, n),
        )
        for n in range(count)
    ]


def make_content(channel: str, n: int) -> Any:
    """A push of some 400 bytes, a mail with 20 kB of HTML."""
    from delivery.drafts import EmailContent, PushContent

    url = f"https://shop.example/t/c/{n:032x}"
    if channel != "email":
        return PushContent(
            title=f"Ann {n}, look at this", body=f"{WORDS}Teapot no. {n} for 12.90 EUR",
            link=url, data={"token": f"{n:040x}"}, ttl_seconds=86_400,
        )  # fmt: skip
    paragraph = f'<p style="font-size:14px;line-height:20px">{WORDS}</p>\n'
    return EmailContent(
        subject=f"Ann {n}, something for you",
        html=f"<h1>Ann {n}</h1>{paragraph * 200}<a href='{url}'>Teapot no. {n}</a>",
        text=f"Ann {n}\n{WORDS * 20}\n{url}\n",
        sender="Shop <news@shop.example>",
        headers={"X-Campaign": "7"},
        unsubscribe_url=f"https://shop.example/u/{n:032x}",
    )


def cost_of(adapter: Any, drafts: Sequence[Any]) -> float:
    started = time.process_time()
    send(adapter, drafts)
    return (time.process_time() - started) / len(drafts) * 1e6


def send(adapter: Any, drafts: Sequence[Any]) -> None:
    from delivery.drafts import Accepted

    for first in range(0, len(drafts), adapter.batch_size):
        outcomes = adapter.send(drafts[first : first + adapter.batch_size])
        if odd := [outcome for outcome in outcomes if not isinstance(outcome, Accepted)]:
            sys.exit(f"expected every message to be accepted, got {odd[0]}")


if __name__ == "__main__":
    main()
