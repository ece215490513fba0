"""Frequency caps and a person's own wishes, where the app shows the messages itself.

An in-app message counts when the app reports that it was on the screen, like every other message;
what this answer holds counts for the rest of it. Quiet hours are left out: who has the app open is
awake. So are rivals of other channels: the app asks now, and they can wait.
"""

from datetime import datetime
from typing import Any

from django.conf import settings

from campaigns import timing
from campaigns.in_app import Live, LiveCampaign
from campaigns.launch_facts import Known
from delivery import control_rows, controls
from delivery.controls import Person, Rules, Wish
from delivery.policy import Allow
from engage.lib.clock import from_millis


class Room:
    """For one person and one answer: which messages the rules still let in."""

    def __init__(self, known: Known, attributes: Any, live: Live, *, now: datetime) -> None:
        self.now = now
        self.rules = Rules(live.caps)
        zone = controls.find_zone(attributes.get("timezone"), default=settings.PEOPLE_TIME_ZONE)
        profile_id, sent = known.profile_id, []
        if profile_id is not None and (live.caps or known.most_a_week is not None):
            sent = control_rows.read_sent([profile_id], now=now).get(profile_id, [])
        until = known.paused_until_ms
        self.person = Person(
            zone,
            sent,
            most_a_week=known.most_a_week,
            paused_until=None if until is None else from_millis(until),
        )

    def has(self, live: LiveCampaign) -> bool:
        return isinstance(
            controls.decide(self.wish(live), self.person, self.rules, now=self.now), Allow
        )

    def take(self, live: LiveCampaign) -> None:
        controls.settle(self.wish(live), self.person, now=self.now)

    def wish(self, live: LiveCampaign) -> Wish:
        campaign = live.campaign
        ends = self.now + timing.useful_for(campaign)
        return Wish(live.id, "in_app", campaign.topic, ends, priority=campaign.priority)
