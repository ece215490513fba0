"""What the page of builds shows above its list: figures over time, what the data is enough for."""

import json
from collections.abc import Sequence
from typing import Any, Final

from django.conf import settings
from django.db import connection
from django.utils.module_loading import import_string

from engage.lib import screen
from recommendations.build import BREADTH, GATE
from recommendations.models import Build
from recommendations.sufficiency import Step, advise, list_steps

BUILDS_SHOWN: Final = 30  # newest, of those that were measured
DAY_MS: Final = 86_400_000
OK_COLOR: Final = "#0d9488"
REFUSED_COLOR: Final = "#dc2626"
LIVE_COLOR: Final = "#94a3b8"
# Told apart also by those who see no red or green; in the order in which sources are named.
SOURCE_COLORS: Final = (
    "#0d9488", "#3b82f6", "#f59e0b", "#8b5cf6", "#ec4899", "#84cc16", "#06b6d4", "#a16207",
    "#64748b", "#ef4444",
)  # fmt: skip
TICKS: Final = {"color": "#94a3b8", "precision": 3, "maxTicksLimit": 5, "display": True}
LINE_OPTIONS: Final[dict[str, Any]] = {
    "animation": False,
    "responsive": True,
    "maintainAspectRatio": False,
    "plugins": {"legend": {"display": False}},
    "interaction": {"mode": "index", "intersect": False},
    "scales": {
        "x": {
            "grid": {"display": False},
            "ticks": {"color": "#94a3b8", "maxRotation": 0, "autoSkipPadding": 12},
        },
        "y": {"display": True, "beginAtZero": True, "ticks": TICKS},
    },
}
BAR_OPTIONS: Final[dict[str, Any]] = LINE_OPTIONS | {
    "maxBarThickness": 34,
    "scales": {
        "x": {**LINE_OPTIONS["scales"]["x"], "stacked": True},
        "y": {**LINE_OPTIONS["scales"]["y"], "stacked": True, "max": 100},
    },
}
# What is drawn, each over the same builds: title, figure, factor, the unit behind the title.
PLOTS: Final = (
    ("Accuracy", GATE, 1, "NDCG@10 on held-back behaviour"),
    ("Coverage", BREADTH, 100, "percent of the products in any list of 20"),
    ("Novelty", "novelty", 1, "bits: how little known what is shown is"),
)
# A product is described where its name, category and texts have three words or more.
DESCRIBED: Final = """
SELECT 100.0 * count(*) FILTER (WHERE words >= 3) / nullif(count(*), 0) FROM (
    SELECT array_length(regexp_split_to_array(trim(concat_ws(' ', p.name, p.category, (
        SELECT string_agg(t.value, ' ') FROM jsonb_each_text(p.extra) t
        WHERE jsonb_typeof(p.extra -> t.key) = 'string'
    ))), '\\s+'), 1) AS words
    FROM catalog_product p JOIN catalog_catalog c ON c.id = p.catalog_id
    WHERE c.name = %s AND p.deleted_at IS NULL LIMIT 10000
) AS looked_at
"""


def describe(catalog: str | None) -> dict[str, Any]:
    """The context of admin/recommendations/builds.html; of the catalog asked for, or the first."""
    catalogs = sorted(Build.objects.order_by().values_list("catalog", flat=True).distinct())
    if not catalogs:
        return {"catalogs": [], "catalog": ""}
    first = "default" if "default" in catalogs else catalogs[0]
    name = catalog if catalog in catalogs else first
    steps = list_steps(facts_of(name))
    return {
        "catalog": name,
        "catalogs": catalogs,
        "live": describe_live(name),
        "advice": advise(steps),
        "steps": [step_line(step) for step in steps],
        **draw(list_measured(name)),
    }


def describe_live(catalog: str) -> dict[str, Any] | None:
    live = Build.objects.filter(catalog=catalog, state=Build.State.LIVE).first()
    if live is None:
        return None
    return {"pk": live.pk, "since": screen.stamp(live.published_at)}


def list_measured(catalog: str) -> list[Build]:
    """The newest builds that have figures, oldest first."""
    rows = Build.objects.filter(catalog=catalog, quality__has_key=GATE).order_by("-pk")
    wanted = rows.only("state", "started_at", "quality", "reason")
    return list(reversed(wanted[:BUILDS_SHOWN]))


# --- the plots ---------------------------------------------------------------------------------


def draw(builds: Sequence[Build]) -> dict[str, Any]:
    """The plots, and what stands in words for those who cannot see them."""
    labels = [f"#{build.pk}, {build.started_at:%d %b}" for build in builds]
    sources = list_sources(builds)
    return {
        "measured": len(builds),
        "refused": sum(build.state == Build.State.REFUSED for build in builds),
        "plots": [
            {
                "title": title,
                "unit": unit,
                "now": last(figures(builds, name, factor)),
                "data": json.dumps(plot(builds, labels, name, factor)),
            }
            for title, name, factor, unit in PLOTS
        ],
        "line_options": json.dumps(LINE_OPTIONS),
        "sources": [
            {"name": say(name), "color": SOURCE_COLORS[place % len(SOURCE_COLORS)]}
            for place, name in enumerate(sources)
        ],
        "sources_data": json.dumps(stack(builds, labels, sources)),
        "bar_options": json.dumps(BAR_OPTIONS),
    }


def plot(builds: Sequence[Build], labels: list[str], name: str, factor: float) -> dict[str, Any]:
    """One point per build; a refused one is a red cross. Beside it the live one it had to beat."""
    refused = [build.state == Build.State.REFUSED for build in builds]
    own = {
        "label": "this build",
        "data": figures(builds, name, factor),
        "borderColor": OK_COLOR,
        "backgroundColor": OK_COLOR,
        "borderWidth": 2,
        "tension": 0,
        "pointRadius": [7 if red else 4 for red in refused],
        "pointBorderWidth": [3 if red else 1 for red in refused],
        "pointStyle": ["crossRot" if red else "circle" for red in refused],
        "pointBorderColor": [REFUSED_COLOR if red else OK_COLOR for red in refused],
        "pointBackgroundColor": [REFUSED_COLOR if red else OK_COLOR for red in refused],
    }
    rival = figures(builds, f"live_{name}", factor)
    before = {
        "label": "the live one then, on the same events",
        "data": rival,
        "borderColor": LIVE_COLOR,
        "backgroundColor": LIVE_COLOR,
        "borderDash": [4, 4],
        "borderWidth": 1.5,
        "pointRadius": 0,
        "spanGaps": True,
    }
    known = any(value is not None for value in rival)
    return {"labels": labels, "datasets": [own, before] if known else [own]}


def figures(builds: Sequence[Build], name: str, factor: float) -> list[float | None]:
    found = [build.quality.get(name) for build in builds]
    return [None if value is None else round(factor * value, 4) for value in found]


def last(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    return f"{known[-1]:,.4g}" if known else screen.NOTHING


def list_sources(builds: Sequence[Build]) -> list[str]:
    """By name, so that a source keeps its colour from one build to the next."""
    return sorted({name for build in builds for name in build.quality.get("sources", {})})


def stack(builds: Sequence[Build], labels: list[str], sources: list[str]) -> dict[str, Any]:
    """Bars of 100 percent; a build that did not store its shares has none."""
    shares = [build.quality.get("sources", {}) for build in builds]
    return {
        "labels": labels,
        "datasets": [
            {
                "label": say(name),
                "data": [
                    round(100 * share.get(name, 0), 1) if share else None for share in shares
                ],
                "backgroundColor": SOURCE_COLORS[place % len(SOURCE_COLORS)],
            }
            for place, name in enumerate(sources)
        ],
    }


def say(name: str) -> str:
    return name.replace("_", " ")


# --- the meter ---------------------------------------------------------------------------------


def facts_of(catalog: str) -> dict[str, float | None]:
    """What `sufficiency` asks for, of the newest build that read anything."""
    newest = Build.objects.filter(catalog=catalog).exclude(data={}).order_by("-pk").first()
    data: dict[str, Any] = newest.data if newest else {}
    measured = list_measured(catalog)
    first, until = data.get("first_ms"), data.get("last_ms")
    impressions, clicks = import_string(settings.SHOWN_COUNTER)()
    return {
        "interactions": data.get("interactions"),
        "profiles_with_two": data.get("profiles_with_two"),
        "days": (until - first) / DAY_MS if first is not None and until is not None else None,
        "asked": measured[-1].quality.get("profiles") if measured else None,
        "described_percent": percent_described(catalog),
        "impressions": impressions,
        "clicks": clicks,
    }


def percent_described(catalog: str) -> float | None:
    """Of the products, or of ten thousand of them."""
    with connection.cursor() as cursor:
        cursor.execute(DESCRIBED, [catalog])
        (found,) = cursor.fetchone()
    return None if found is None else float(found)


TONES: Final = {"ready": "green", "next": "blue", "later": "grey"}


def step_line(step: Step) -> dict[str, Any]:
    return {
        "name": step.name,
        "pill": screen.pill(step.state, TONES[step.state]),
        "tone": TONES[step.state],
        "percent": int(100 * step.share),  # never 100 before it is ready
        "sentence": step.sentence,
        "reason": step.reason,
    }
