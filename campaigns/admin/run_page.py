"""The figures of a run, as its page and its CSV show them."""

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.urls import reverse

from campaigns import decisions, stats, stats_kept
from campaigns.admin.review import within_time
from campaigns.models import Campaign, Run, Slot
from campaigns.models.template import Channel
from delivery.models import Message
from engage.lib import screen
from engage.profiles import identity
from engage.profiles.directory import find_people

TONES = {
    "accepted": "green",
    "failed": "red",
    "suppressed": "amber",
    "expired": "amber",
    "cancelled": "grey",
    "unknown": "amber",
    "open": "blue",
}
PEOPLE_SHOWN = 100
DECISIONS = {
    "held_out": "Held out for comparing",
    "accepted": "Sent",
    "attempting": "Being sent",
    "leased": "Being prepared",
    "planned": "Waiting",
    "unknown": "Sent, and no answer came",
    "failed": "Refused by the provider",
    "suppressed": "Not sent",
    "expired": "Came too late",
    "cancelled": "Cancelled",
}
NAMES = {
    "accepted": "Accepted by the provider",
    "failed": "Failed",
    "suppressed": "Suppressed",
    "expired": "Expired",
    "cancelled": "Cancelled",
    "unknown": "Unknown: sent, but no answer came",
    "open": "Still open",
}
RECEIVED = {
    "delivered": "delivered",
    "bounced": "bounced",
    "failed": "not delivered",
    "complained": "complaints",
    "opted_out": "left at the provider",
    "gone": "addresses gone",
}
VARIANT_COLUMNS = ("Messages", "Accepted", "Seen", "Opened", "Clicked", "Click rate", "Left")
CHART_OPTIONS = {
    "animation": False,
    "responsive": True,
    "maintainAspectRatio": False,
    "indexAxis": "y",
    "maxBarThickness": 26,
    "plugins": {"legend": {"display": False}},
    "scales": {
        "x": {"beginAtZero": True, "ticks": {"precision": 0}},
        "y": {"grid": {"display": False}},
    },
}


def describe(run: Run, *, csv_url: str, now: datetime, machines: bool = False) -> dict[str, Any]:
    """The context of the page."""
    page, planned, counted_at = stats_kept.run_page(run, machines=machines, now=now)
    figures = page["figures"]
    outcomes = count_outcomes(figures["states"])
    summed = sum(outcomes.values())
    if planned < summed <= count_planned(run):  # more was planned between the two looks
        planned = summed
    return {
        "campaign": run.campaign.name,
        "state": screen.state_pill(run.state),
        "due": screen.stamp(run.scheduled_for),
        "finished": screen.stamp(run.finished_at) if run.finished_at else "",
        "sentence": tell(run, planned=planned, still_open=outcomes["open"]),
        "parts": list_parts(outcomes),
        "cards": list_cards(run, figures, accepted=outcomes["accepted"], machines=machines),
        "machines": machines,
        "counted": screen.stamp(counted_at) if counted_at else "",
        "received": list_received(figures["receipts"]),
        "outcomes": list_shares(outcomes, NAMES, whole=summed),
        "reasons": list_shares(by_size(figures["reasons"]), {}, whole=summed),
        "sum": screen.number(summed),
        "planned": screen.number(planned),
        "sum_holds": planned == summed,
        "chart": json.dumps(funnel(figures, accepted=outcomes["accepted"])),
        "chart_options": json.dumps(CHART_OPTIONS),
        "variant_columns": VARIANT_COLUMNS,
        "variants": [variant_line(one) for one in page["variants"]],
        "products": [product_line(one) for one in page["products"]],
        "short": [short_line(one) for one in page["short"]],
        "csv_url": csv_url,
        "people_url": reverse("admin:campaigns_run_decisions", args=[run.pk]),
        "messages_url": f"{reverse('admin:engage_messagerow_changelist')}?run_id__exact={run.pk}",
    }


def describe_people(
    run: Run,
    *,
    decision: str,
    reason: str,
    person: str,
    after: int,
    after_message: UUID = decisions.FIRST,
) -> dict[str, Any]:
    """Who got it and who did not, each with the reason. `person`: a number, id or e-mail.

    A server or events may have asked for several messages of one person: there each has a line.

    Of a run of millions both questions may take too long; one person is found at once.
    """
    people_asked = find_people(person) if person.strip() else None
    found = within_time(
        lambda: decisions.list_decisions(
            run.pk,
            decision=decision,
            reason=reason,
            people=people_asked,
            each=is_on_occasion(run),
            after=after,
            after_message=after_message,
            limit=PEOPLE_SHOWN,
        )
    )
    counted = within_time(lambda: decisions.count_decisions(run.pk, each=is_on_occasion(run)))
    slow = [
        words for words, answer in (("Looking", found), ("Counting", counted)) if answer is None
    ]
    found, counts = found or [], counted or []
    people = sum(one.people for one in counts)
    whole, unit = (people, "messages") if is_on_occasion(run) else (run.audience, "people")
    names = identity.list_identities([one.profile_id for one in found])
    chosen = {"decision": decision, "reason": reason, "person": person}
    last = {"after": found[-1].profile_id, "message": found[-1].message_id or ""} if found else {}
    return {
        "chosen": chosen,
        "slow": [f"{words} took too long and was stopped." for words in slow],
        "counts": [
            {
                "name": DECISIONS.get(one.decision, one.decision),
                "reason": one.reason.replace("_", " "),
                "people": screen.number(one.people),
                "url": f"?{urlencode({'decision': one.decision, 'reason': one.reason})}",
            }
            for one in counts
        ],
        "sum": screen.number(people),
        "audience": screen.number(whole),
        "unit": unit,
        "lines": [
            person_line(one, names.get(one.profile_id, []), channel=run.campaign.channel)
            for one in found
        ],
        "next": f"?{urlencode(chosen | last)}" if len(found) == PEOPLE_SHOWN else "",
    }


def person_line(
    one: decisions.Decision, names: Sequence[tuple[str, str]], *, channel: str
) -> dict[str, Any]:
    elsewhere = one.channel not in {"", channel}
    by = f"by {Channel(one.channel).label}, because of quiet hours" if elsewhere else ""
    waits = f"due {screen.stamp(one.until)} UTC" if one.until else ""
    return {
        "person": names[0][1] if names else one.profile_id,
        "url": reverse("admin:profiles_profile_change", args=[one.profile_id]),
        "decision": DECISIONS.get(one.decision, one.decision),
        "tone": TONES.get(one.decision, "grey"),
        "reason": one.reason.replace("_", " "),
        "detail": "; ".join(filter(None, [by, tell_why(one) or waits])),
        "when": screen.stamp(one.at) if one.at else "",
    }


def tell_why(one: decisions.Decision) -> str:
    """Of somebody who was capped: the rule, and what went out before."""
    notes = [note for note in json.loads(one.items) if "cap" in note]
    return "; ".join(
        f"{note['cap']}: at most {note['most']}, before it went "
        f"{', '.join(map(name_of, note['earlier'])) or 'nothing'}"
        for note in notes
    )


def name_of(unit: str) -> str:
    """The campaign of "run 7" or "run 7, occasion"; what was no run's was a message of its own."""
    number = unit.removeprefix("run ").partition(",")[0]
    if number == unit or not number.isdecimal():
        return "a single message"
    name = Run.objects.filter(pk=int(number)).values_list("campaign__name", flat=True).first()
    return f"“{name}”" if name else unit


def count_planned(run: Run) -> int:
    return Run.objects.values_list("planned", flat=True).get(pk=run.pk)


def count_outcomes(states: Mapping[str, int]) -> dict[str, int]:
    """The final states by name, and everything that is not final as "open"."""
    final = {str(state): states.get(state, 0) for state in Message.FINAL}
    return final | {"open": sum(states.get(state, 0) for state in Message.OPEN)}


def tell(run: Run, *, planned: int, still_open: int) -> str:
    """How far it is, in one sentence."""
    people = f"{screen.number(run.audience)} people in the segment"
    held = f"{screen.number(run.held_out)} held out for comparing"
    if run.stopped_because:
        return (
            f"It stopped itself: {run.stopped_because}. Still open: {screen.number(still_open)}. "
            "Resume the campaign to go on, or cancel it."
        )
    waiting = f", {screen.number(still_open)} still open" if still_open else ""
    if run.campaign.schedule == Campaign.Schedule.API:
        return f"Your server asked for {screen.number(planned)} messages{waiting}."
    if run.campaign.schedule == Campaign.Schedule.EVENT:
        return f"Events asked for {screen.number(planned)} messages so far{waiting}; {held}."
    if run.state == Run.State.MISSED:
        return "It could not start in time. Send it although it is late, or leave it."
    if run.state == Run.State.PLANNING:
        return f"The audience is being walked: so far {people}, {held}."
    return f"{people}, {held}, {screen.number(planned)} messages planned{waiting}."


def is_on_occasion(run: Run) -> bool:
    return run.campaign.schedule in Campaign.ON_OCCASION


def list_parts(outcomes: Mapping[str, int]) -> list[dict[str, Any]]:
    whole = sum(outcomes.values())
    return [
        {
            "name": name.capitalize(),
            "tone": TONES[name],
            "text": screen.number(count),
            "width": f"{100 * count / whole:.2f}",
        }
        for name, count in outcomes.items()
        if count
    ]


def list_received(receipts: Mapping[str, int]) -> str:
    """What providers told later, in one line; empty while they told nothing."""
    said = [
        f"{screen.number(count)} {RECEIVED[kind]}" for kind, count in receipts.items() if count
    ]
    return ", ".join(said)


def list_cards(
    run: Run, figures: Mapping[str, Any], *, accepted: int, machines: bool
) -> list[dict[str, str]]:
    counted = "machines counted in" if machines else "machines left out"
    seen = [("seen", "Seen", figures["impressions"], "of them on a screen")]
    if run.campaign.channel == "email":
        seen = [("opened", "Opened", figures["opens"], f"opened, {counted}")]
    people = [
        ("clicked", "Clicked", figures["clicks"], f"of the accepted clicked, {counted}"),
        ("left", "Unsubscribed", figures["unsubscribes"], "of the accepted left"),
    ]
    fixed = [
        card("planned", "Planned", figures["planned"], "messages"),
        card("accepted", "Accepted", accepted, screen.percent(accepted, figures["planned"])),
        card("held", "Control group", run.held_out, "got nothing, for comparing"),
    ]
    return fixed + [
        card(key, name, count, f"{screen.percent(count, accepted)} {words}")
        for key, name, count, words in [*seen, *people]
    ]


def card(key: str, name: str, value: int, detail: str) -> dict[str, str]:
    return {"key": key, "name": name, "value": screen.number(value), "detail": detail}


def by_size(reasons: Mapping[str, int]) -> dict[str, int]:
    return dict(sorted(reasons.items(), key=lambda item: (-item[1], item[0])))


def list_shares(
    counts: Mapping[str, int], names: Mapping[str, str], *, whole: int
) -> list[dict[str, str]]:
    return [
        {
            "name": names.get(name, name.replace("_", " ")),
            "text": screen.number(count),
            "share": screen.percent(count, whole),
        }
        for name, count in counts.items()
    ]


def funnel(figures: Mapping[str, Any], *, accepted: int) -> dict[str, Any]:
    steps = [
        ("Planned", figures["planned"]),
        ("Accepted", accepted),
        ("Opened or seen", max(figures["opens"], figures["impressions"])),
        ("Clicked", figures["clicks"]),
    ]
    return {
        "labels": [name for name, _ in steps],
        "datasets": [
            {
                "label": "Messages",
                "data": [count for _, count in steps],
                "backgroundColor": "var(--color-primary-600)",
                "borderRadius": 4,
            }
        ],
    }


def variant_line(variant: Mapping[str, Any]) -> dict[str, Any]:
    keys = ("messages", "accepted", "impressions", "opens", "clicks")
    cells = [screen.number(variant[key]) for key in keys]
    cells += [
        screen.percent(variant["clicks"], variant["accepted"]),
        screen.number(variant["unsubscribes"]),
    ]
    return {"name": variant["name"], "template": variant["template"], "cells": cells}


def short_line(line: Mapping[str, Any]) -> dict[str, str]:
    left_out = line["short"] == Slot.Short.DROP_BLOCK
    what = "was left empty in" if left_out else "held back"
    count = screen.number(line["messages"])
    word = "message" if line["messages"] == 1 else "messages"
    return {
        "slot": line["slot"],
        "text": f"found fewer than {line['needed']} products and {what} {count} {word}",
    }


def product_line(line: Mapping[str, Any]) -> dict[str, Any]:
    """A click without a picture loaded is a click on something unseen: no rate is honest then."""
    honest = line["clicked"] <= line["shown"]
    return {
        "item": line["item"],
        "name": line["name"] or line["item"],
        "image_url": line["image_url"],
        "shown": screen.number(line["shown"]),
        "clicked": screen.number(line["clicked"]),
        "rate": screen.percent(line["clicked"], line["shown"]) if honest else screen.NOTHING,
    }


def list_csv(run: Run) -> Iterator[Sequence[object]]:
    """The same figures in lines: what, which, figure."""
    page = stats.run_page(run)
    figures = page["figures"]
    yield ("section", "name", "figure", "value")
    yield ("run", run.campaign.name, "due", run.scheduled_for.isoformat())
    yield ("run", run.campaign.name, "audience", run.audience)
    yield ("run", run.campaign.name, "control group", run.held_out)
    yield ("run", run.campaign.name, "planned", figures["planned"])
    for name, count in count_outcomes(figures["states"]).items():
        yield ("outcome", name, "messages", count)
    for reason, count in figures["reasons"].items():
        yield ("reason", reason, "messages", count)
    for key in ("impressions", "opens", "clicks", "unsubscribes"):
        yield ("people", run.campaign.name, key, figures[key])
    for key, count in figures["machine"].items():
        yield ("machines", run.campaign.name, key, count)
    for key, count in figures["receipts"].items():
        yield ("receipts", run.campaign.name, key, count)
    for variant in page["variants"]:
        for key in ("messages", "accepted", "impressions", "opens", "clicks", "unsubscribes"):
            yield ("wording", variant["name"], key, variant[key])
    for line in page["products"]:
        for key in ("shown", "clicked"):
            yield ("product", f"{line['item']} {line['name']}".strip(), key, line[key])
