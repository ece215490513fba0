"""The admin's first page: is everything well, what is being sent, what comes in."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection
from django.db.models import Count, Q
from django.http import HttpRequest
from django.urls import reverse

from campaigns.models import Campaign, Run
from delivery import endpoints
from delivery.models import Halt, Interaction, Message
from engage import health, work
from engage.lib import clock, screen
from engage.lib.tables import count_rows

QUEUE_AMBER_SECONDS, QUEUE_RED_SECONDS = 10, 120
MODEL_AMBER_SECONDS, MODEL_RED_SECONDS = 2 * 86_400, 7 * 86_400
CATALOG_AMBER_SECONDS = 7 * 86_400
RUNS_SHOWN = 8
CHART_HOURS = 24
STAGE_NAMES = {"ingest": "Event queue", "schedule": "Due campaigns", "outbox": "Sending queue"}
STORE_NAMES = {"postgres": "PostgreSQL", "redis": "Redis"}


@dataclass(frozen=True, slots=True)
class Sign:
    """One sign of the health strip: a colour, and words for those who do not see colours."""

    name: str
    tone: str  # green, amber, red, grey
    words: str
    detail: str = ""
    url: str = ""


@dataclass(frozen=True, slots=True)
class Card:
    name: str
    value: str
    detail: str = ""
    url: str = ""
    icon: str = ""


def fill(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Called by the admin's index view."""
    now = clock.now()
    hours = count_events_by_hour(now)
    return context | {
        "title": "Dashboard",
        "under_way": work.panel(request, now=now),
        "signs": list_signs(now),
        "cards": list_cards(now, events=sum(hours.values())),
        "runs": list_runs(now),
        "chart": json.dumps(chart_of(hours, now)),
        "chart_options": json.dumps(CHART_OPTIONS),
        "events_total": screen.number(sum(hours.values())),
    }


# --- the health strip -----------------------------------------------------------------------


def list_signs(now: datetime) -> list[Sign]:
    state = health.collect(now)
    return [
        *(store_sign(name) for name, answer in state["stores"].items() if answer != "ok"),
        *(queue_sign(name, stage) for name, stage in state["stages"].items()),
        model_sign(state["model_age_seconds"]),
        catalog_sign(state["catalogs"]),
        sends(),
    ]


def store_sign(name: str) -> Sign:
    return Sign(STORE_NAMES.get(name, name), "red", "does not answer", "see its log")


def queue_sign(name: str, stage: Mapping[str, Any]) -> Sign:
    title = STAGE_NAMES.get(name, name.replace("_", " ").capitalize())
    if stage.get("error"):
        return Sign(title, "red", "does not answer")
    oldest, depth = stage.get("oldest_seconds"), stage.get("depth") or 0
    if not depth or oldest is None:
        return Sign(title, "green", "empty", "nothing waits")
    tone = grade(oldest, amber=QUEUE_AMBER_SECONDS, red=QUEUE_RED_SECONDS)
    words = {"green": "flowing", "amber": "slow", "red": "stuck"}[tone]
    return Sign(
        title, tone, words, f"{screen.number(depth)} waiting, oldest {screen.duration(oldest)}"
    )


def model_sign(age: float | None) -> Sign:
    url = reverse("admin:recommendations_build_changelist")
    if age is None:
        return Sign("Model", "amber", "none yet", "best sellers are shown to everybody", url)
    tone = grade(age, amber=MODEL_AMBER_SECONDS, red=MODEL_RED_SECONDS)
    words = {"green": "fresh", "amber": "ageing", "red": "old"}[tone]
    return Sign("Model", tone, words, f"built {screen.duration(age)} ago", url)


def catalog_sign(catalogs: Mapping[str, Any]) -> Sign:
    url = reverse("admin:catalog_catalog_changelist")
    if not catalogs:
        return Sign("Catalog", "amber", "none yet", "upload a product file", url)
    oldest = max(float(row.get("age_seconds") or 0) for row in catalogs.values())
    products = sum(int(row.get("products") or 0) for row in catalogs.values())
    tone = "amber" if oldest >= CATALOG_AMBER_SECONDS or not products else "green"
    words = "empty" if not products else "ageing" if tone == "amber" else "fresh"
    detail = f"{screen.number(products)} products, changed {screen.duration(oldest)} ago"
    return Sign("Catalog", tone, words, detail, url)


def sends() -> Sign:
    states = dict(
        Run.objects.filter(state__in=["planning", "sending", "paused", "missed"])
        .order_by()
        .values_list("state")
        .annotate(rows=Count("pk"))
    )
    running = states.get("planning", 0) + states.get("sending", 0)
    waiting = states.get("missed", 0)
    url = reverse("admin:campaigns_run_changelist")
    halt = Halt.objects.first()
    if halt is not None:
        return Sign("Sends", "red", "stand still", f"{halt}; see manage.py resume_sending", url)
    stopped = Run.objects.filter(state=Run.State.PAUSED).exclude(stopped_because="").count()
    if stopped:
        return Sign("Sends", "amber", f"{stopped} stopped themselves", "look at their pages", url)
    away = endpoints.list_disabled_by_themselves().count()
    if away:
        receivers = reverse("admin:delivery_webhookendpoint_changelist")
        words = f"{away} webhook {'endpoint' if away == 1 else 'endpoints'} disabled"
        return Sign("Sends", "amber", words, "their receivers took nothing", receivers)
    detail = f"{states.get('paused', 0)} paused"
    if waiting:
        return Sign("Sends", "amber", f"{waiting} missed", "launch again or cancel them", url)
    return Sign("Sends", "green", f"{running} running" if running else "idle", detail, url)


def grade(seconds: float, *, amber: float, red: float) -> str:
    return "red" if seconds >= red else "amber" if seconds >= amber else "green"


# --- figures --------------------------------------------------------------------------------


def list_cards(now: datetime, *, events: int) -> list[Card]:
    week_ago = now - timedelta(days=7)
    runs = Run.objects.filter(started_at__gte=week_ago).values("pk")
    accepted = Message.objects.filter(run_id__in=runs, state=Message.State.ACCEPTED).count()
    # Named so that the index on (campaign_id, ts) is used.
    clicks = Interaction.objects.filter(
        campaign_id__in=Campaign.objects.values("pk"),
        ts__gte=week_ago,
        kind=Interaction.Kind.CLICK,
        machine=False,
    ).count()
    return [
        Card(
            "Profiles",
            screen.number(count_rows("profiles_profile")),
            "people we know",
            reverse("admin:profiles_profile_changelist"),
            "person",
        ),
        Card(
            "Events",
            screen.number(events),
            "in the last 24 hours",
            reverse("admin:engage_eventrow_changelist"),
            "bolt",
        ),
        Card(
            "Messages accepted",
            screen.number(accepted),
            "by providers, in 7 days",
            reverse("admin:engage_messagerow_changelist") + "?state__exact=accepted",
            "mail",
        ),
        Card(
            "Clicks",
            screen.number(clicks),
            "in 7 days, machines left out",
            reverse("admin:engage_interactionrow_changelist") + "?kind__exact=click",
            "ads_click",
        ),
    ]


def list_runs(now: datetime) -> list[dict[str, Any]]:
    """The open runs, then the latest others, each with its figures."""
    open_first = Run.objects.select_related("campaign").order_by("-scheduled_for")
    unfinished = Q(state__in=["planning", "sending", "paused", "missed"])
    runs = [*open_first.filter(unfinished)[:RUNS_SHOWN]]
    runs += open_first.exclude(unfinished)[: RUNS_SHOWN - len(runs)]
    numbers = [run.pk for run in runs]
    states: dict[int, dict[str, int]] = {}
    counted = Message.objects.filter(run_id__in=numbers).order_by().values_list("run_id", "state")
    for run_id, state, rows in counted.annotate(rows=Count("*")):
        states.setdefault(run_id or 0, {})[state] = rows
    clicked = dict(
        Interaction.objects.filter(run_id__in=numbers, kind="click", machine=False)
        .order_by()
        .values_list("run_id")
        .annotate(rows=Count("message_id", distinct=True))
    )
    return [
        run_line(run, states=states.get(run.pk, {}), clicked=clicked.get(run.pk, 0), now=now)
        for run in runs
    ]


def run_line(
    run: Run, *, states: Mapping[str, int], clicked: int, now: datetime
) -> dict[str, Any]:
    still_open = sum(states.get(state, 0) for state in Message.OPEN)
    planned = sum(states.values())
    accepted = states.get("accepted", 0)
    return {
        "url": reverse("admin:campaigns_run_change", args=[run.pk]),
        "campaign": run.campaign.name,
        "channel": run.campaign.get_channel_display(),
        "state": screen.state_pill(run.state),
        "when": screen.ago(run.scheduled_for, now=now),
        "planned": screen.number(planned),
        "accepted": screen.number(accepted),
        "open": screen.number(still_open),
        "clicked": screen.number(clicked),
        "rate": screen.percent(clicked, accepted),
        "done_percent": round(100 * (planned - still_open) / planned) if planned else 0,
    }


# --- the chart ------------------------------------------------------------------------------

BY_HOUR = """
SELECT date_trunc('hour', ts, 'UTC'), count(*) FROM profiles_event
WHERE ts >= %s AND ts <= %s GROUP BY 1
"""
CHART_OPTIONS = {
    "animation": False,
    "responsive": True,
    "maintainAspectRatio": False,
    "maxBarThickness": 28,
    "plugins": {"legend": {"display": False}},
    "scales": {
        "x": {"grid": {"display": False}, "ticks": {"maxRotation": 0, "autoSkipPadding": 16}},
        "y": {"display": True, "beginAtZero": True, "ticks": {"precision": 0, "display": True}},
    },
}


def count_events_by_hour(now: datetime) -> dict[datetime, int]:
    """The full hours of the last day and the present one; hours without events are zero."""
    this_hour = now.replace(minute=0, second=0, microsecond=0)
    hours = {this_hour - timedelta(hours=back): 0 for back in reversed(range(CHART_HOURS))}
    with connection.cursor() as cursor:
        cursor.execute(BY_HOUR, [next(iter(hours)), now])
        return hours | dict(cursor.fetchall())


def chart_of(hours: Mapping[datetime, int], now: datetime) -> dict[str, Any]:
    return {
        "labels": [f"{hour:%H}:00" for hour in hours],
        "datasets": [
            {
                "label": "Events",
                "data": list(hours.values()),
                "backgroundColor": "var(--color-primary-600)",
                "borderRadius": 4,
            }
        ],
    }
