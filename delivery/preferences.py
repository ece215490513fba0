"""What people choose on their preference page: topics, a weekly maximum, quiet hours, a pause.

Topics are consents, stated as events are: the newest wins. The rest is one row, which the mark
reads. The page is reached by the link of a message, without any login: whoever has the mail may
choose for its recipient, and sees of them no more than what they may choose.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Any, Final, NamedTuple

from django.db import transaction

from delivery import tracking
from delivery.links import WayOut
from delivery.models import Message, Preference, Topic
from delivery.policy import NEED_OPT_IN
from engage.profiles import consents, identity
from engage.profiles.models import Profile

SOURCE: Final = "preference page"
PAUSES: Final = {"week": timedelta(days=7), "month": timedelta(days=30)}
MOST_A_WEEK: Final = (1, 2, 3, 5, 7)
MOST_TOPICS: Final = 50
# Whatever a person sees. A webhook tells a server of the shop, which is no message to them.
EVERYWHERE: Final = ("email", "sms", "push", "web_push", "in_app", "inbox")


class Choice(NamedTuple):
    name: str
    title: str
    chosen: bool


@dataclass(frozen=True, slots=True)
class Wishes:
    """`left`: they get nothing by this channel, whatever the topics say."""

    topics: list[Choice]
    left: bool
    most_a_week: int | None = None
    quiet_begin: time | None = None
    quiet_end: time | None = None
    paused_until: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """What was sent in: `shown` are the topics that could be chosen then."""

    chosen: Collection[str]
    shown: Collection[str]
    most_a_week: int | None
    quiet: tuple[time, time] | None


def read(way_out: WayOut, *, now: datetime) -> Wishes:
    owner = identity.follow_redirect(way_out.profile_id)
    said = _statuses(owner, way_out.channel)
    kept = find(owner)
    names = [way_out.topic, *said, *_topics_of_messages(owner)]
    titles = {topic.name: topic.title for topic in Topic.objects.all()[:MOST_TOPICS]}
    titles |= {name: name for name in sorted(set(names)) if name and name not in titles}
    topics = [
        Choice(name, title, _is_open(said, name, channel=way_out.channel))
        for name, title in list(titles.items())[:MOST_TOPICS]
    ]
    paused = kept is not None and kept.paused_until is not None and kept.paused_until > now
    return Wishes(
        topics=topics,
        left=said.get("") == "opted_out",
        most_a_week=kept.most_a_week if kept else None,
        quiet_begin=kept.quiet_begin if kept else None,
        quiet_end=kept.quiet_end if kept else None,
        paused_until=kept.paused_until if kept and paused else None,
    )


@transaction.atomic
def save(way_out: WayOut, form: Form, *, now: datetime) -> None:
    """Safe to run twice. From the commit on, the mark obeys."""
    for topic in read(way_out, now=now).topics:
        wanted = topic.name in form.chosen
        if topic.name in form.shown and wanted != topic.chosen:
            _state(way_out, topic.name, opted_in=wanted, now=now)
    begin, end = form.quiet or (None, None)
    _keep(
        way_out,
        {"most_a_week": form.most_a_week, "quiet_begin": begin, "quiet_end": end},
        now=now,
    )


def pause(way_out: WayOut, *, length: timedelta | None, now: datetime) -> None:
    """None ends a pause."""
    _keep(way_out, {"paused_until": now + length if length else None}, now=now)


@transaction.atomic
def come_back(way_out: WayOut, *, now: datetime) -> None:
    """Take a whole channel's withdrawal back; topics stay as they were."""
    if (
        _statuses(identity.follow_redirect(way_out.profile_id), way_out.channel).get("")
        != "opted_in"
    ):
        _state(way_out, "", opted_in=True, now=now)


@transaction.atomic
def leave_everything(way_out: WayOut, *, now: datetime) -> None:
    for channel in EVERYWHERE:
        one = WayOut(way_out.profile_id, way_out.message_id, channel, "")
        tracking.leave(one, now=now)


def find(owner: int) -> Preference | None:
    """The newest word of the people who are one by now."""
    numbers = [owner, *Profile.objects.filter(merged_into=owner).values_list("pk", flat=True)]
    found = Preference.objects.filter(profile_id__in=numbers)
    return found.order_by("-stated_at", "profile_id").first()


def export(profile_id: int) -> dict[str, Any]:
    """For the copy of all that is kept of a person; empty when they chose nothing."""
    kept = find(profile_id)
    if kept is None:
        return {}
    times = (kept.quiet_begin, kept.quiet_end, kept.paused_until, kept.stated_at)
    begin, end, paused, stated = (one.isoformat() if one else None for one in times)
    return {
        "most_a_week": kept.most_a_week,
        "quiet_begin": begin,
        "quiet_end": end,
        "paused_until": paused,
        "stated_at": stated,
    }


def _keep(way_out: WayOut, fields: Mapping[str, Any], *, now: datetime) -> None:
    owner = identity.follow_redirect(way_out.profile_id)
    if not Profile.objects.filter(pk=owner).exists():  # erased: nothing of them comes back
        return
    kept = find(owner)
    names = ("most_a_week", "quiet_begin", "quiet_end", "paused_until")
    known = {name: getattr(kept, name) for name in names} if kept else {}
    Preference.objects.update_or_create(
        profile_id=owner, defaults={**known, **fields, "stated_at": now}
    )


def _state(way_out: WayOut, topic: str, *, opted_in: bool, now: datetime) -> None:
    stated_ms = consents.after_last_ms(
        way_out.profile_id, channel=way_out.channel, topic=topic, now=now
    )
    if opted_in:  # a tie is an opt-out
        stated_ms += 1
    consents.state(
        way_out.profile_id,
        channel=way_out.channel,
        topic=topic,
        status="opted_in" if opted_in else "opted_out",
        stated_ms=stated_ms,
        message_id=f"{way_out.message_id}:{way_out.channel}:{topic}:{stated_ms}",
        source=SOURCE,
    )


def _statuses(owner: int, channel: str) -> dict[str, str]:
    """By topic; "" is the channel as a whole."""
    listed = consents.list_consents([owner]).get(owner, [])
    return {one["topic"]: one["status"] for one in listed if one["channel"] == channel}


def _is_open(said: Mapping[str, str], topic: str, *, channel: str) -> bool:
    """What `consents.allowed` says, of one person."""
    words = {said.get(""), said.get(topic)}
    return "opted_out" not in words and ("opted_in" in words or channel not in NEED_OPT_IN)


def _topics_of_messages(owner: int) -> list[str]:
    found = Message.objects.filter(profile_id=owner).exclude(topic="")
    return list(found.order_by("topic").values_list("topic", flat=True).distinct()[:MOST_TOPICS])
