"""The in-app campaigns that are live, ready to be asked; each process looks again after 5 s."""

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from django.db.models import Q

from campaigns.app_content import public_id
from campaigns.errors import InvalidRule
from campaigns.experiments import choose_variant, is_held_out
from campaigns.models import Campaign, Slot, Variant
from campaigns.segments import rules
from campaigns.segments.match import Facts, matches
from delivery import control_rows
from delivery.controls import Cap
from engage.lib import clock

logger = logging.getLogger(__name__)

REFRESH_SECONDS = 4.0
STALE_DAYS = 7  # how long the ids of what ended are told to apps that do not say what they hold
MOST_STALE = 100


@dataclass(frozen=True, slots=True)
class LiveCampaign:
    """Everything of a campaign that answering a launch needs."""

    campaign: Campaign
    rule: rules.Rule
    variants: Sequence[Variant]
    slots: Mapping[int, Sequence[Slot]]  # template id → its slots
    zone: ZoneInfo

    @property
    def id(self) -> str:
        return public_id(self.campaign.id)

    def is_due(self, now: datetime) -> bool:
        campaign = self.campaign
        return not (
            (campaign.starts_at and now < campaign.starts_at)
            or (campaign.ends_at and now >= campaign.ends_at)
        )


@dataclass(frozen=True, slots=True)
class Live:
    """`due_names`: the events the rules ask for; `window_days`: how far back, None: ever."""

    campaigns: Sequence[LiveCampaign] = ()
    campaign_ids: list[int] = field(default_factory=list)
    stale: Sequence[str] = ()
    event_names: list[str] = field(default_factory=list)
    window_days: float | None = 0
    caps: Sequence[Cap] = ()  # those that count in-app messages

    def since(self, now: datetime) -> datetime | None:
        if self.window_days is None:
            return None
        return now - timedelta(days=self.window_days)


@dataclass(frozen=True, slots=True)
class Standing:
    """How somebody stands to in-app campaigns: refusals by topic, and what they saw when."""

    person: int | str
    opted_out: frozenset[str] = frozenset()  # topics; "" is the whole channel
    impressions: Mapping[int, Sequence[datetime]] = field(default_factory=dict)


def is_eligible(live: LiveCampaign, *, standing: Standing, facts: Facts, now: datetime) -> bool:
    campaign = live.campaign
    return (
        live.is_due(now)
        and not {"", campaign.topic} & standing.opted_out
        and _below_limits(live, standing.impressions.get(campaign.id, ()), now=now)
        and not is_held_out(campaign.id, person=standing.person, percent=campaign.control_percent)
        and matches(live.rule, facts, now=now)
    )


def variant_for(live: LiveCampaign, *, standing: Standing) -> Variant:
    return choose_variant(live.variants, person=standing.person)


def _below_limits(live: LiveCampaign, seen: Sequence[datetime], *, now: datetime) -> bool:
    """Days are those of the campaign's zone."""
    if not seen:
        return True
    if len(seen) >= live.campaign.lifetime:
        return False
    today = now.astimezone(live.zone).date()
    seen_today = sum(at.astimezone(live.zone).date() == today for at in seen)
    return seen_today < live.campaign.per_day


class _Cache:
    """One look at the tables serves every request of this process for a few seconds."""

    def __init__(self) -> None:
        self.live = Live()
        self.read_at = float("-inf")

    def get(self) -> Live:
        moment = time.monotonic()
        if moment - self.read_at > REFRESH_SECONDS:
            self.read_at = moment  # others go on with the old one meanwhile
            try:
                self.live = load(now=clock.now())
            except BaseException:
                self.read_at = float("-inf")
                raise
        return self.live

    def forget(self) -> None:
        self.read_at = float("-inf")


cache = _Cache()


def load(*, now: datetime) -> Live:
    """The live campaigns as they stand in the tables."""
    active = (
        Campaign.objects.filter(channel="in_app", state=Campaign.State.ACTIVE)
        .filter(Q(ends_at=None) | Q(ends_at__gt=now))
        .select_related("segment")
        .prefetch_related("variants__template__slots")
        .order_by("-priority", "pk")
    )
    campaigns = [live for campaign in active if (live := _read(campaign)) is not None]
    leaves = [leaf for live in campaigns for leaf in rules.walk(live.rule)]
    deeds = [leaf for leaf in leaves if isinstance(leaf, rules.Did)]
    windows = [deed.within_days for deed in deeds]
    return Live(
        campaigns=campaigns,
        campaign_ids=[live.campaign.pk for live in campaigns],
        stale=_stale(now),
        event_names=sorted({deed.event for deed in deeds}),
        caps=[cap for cap in control_rows.read_rules().caps if cap.channel in {"", "in_app"}],
        window_days=None if None in windows else max((w for w in windows if w), default=0),
    )


def _read(campaign: Campaign) -> LiveCampaign | None:
    try:
        rule = rules.parse(campaign.segment.rule if campaign.segment else {})
    except InvalidRule:
        # Edited after the launch into something else: nobody is better than everybody.
        logger.warning("in-app campaign has a broken segment", extra={"campaign": campaign.pk})
        return None
    variants = sorted(campaign.variants.all(), key=lambda variant: variant.pk)
    if not variants:
        return None
    slots = {
        one.template_id: sorted(one.template.slots.all(), key=lambda slot: slot.pk)
        for one in variants
    }
    return LiveCampaign(campaign, rule, variants, slots, ZoneInfo(campaign.time_zone))


def _stale(now: datetime) -> list[str]:
    """Campaigns that apps should forget, latest first."""
    over = ~Q(state__in=[Campaign.State.ACTIVE, Campaign.State.DRAFT]) | Q(ends_at__lte=now)
    stopped = Campaign.objects.filter(
        over, channel="in_app", updated_at__gte=now - timedelta(days=STALE_DAYS)
    ).order_by("-updated_at")
    return [public_id(pk) for pk in stopped.values_list("pk", flat=True)[:MOST_STALE]]
