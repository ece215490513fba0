"""Is everything well: how long the oldest work of a stage waits, how old model and catalogs are.

A list of processes says little; a queue whose oldest entry grows older says it all.
"""

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import connection
from django.http import HttpRequest, HttpResponse, JsonResponse

from engage.lib import clock
from engage.lib import redis as our_redis
from engage.lib.metrics import Family, render

logger = logging.getLogger(__name__)
LATE_SECONDS = 120.0  # an entry that waits longer than this makes the state "degraded"
REMEMBER_SECONDS = 0.5  # one look serves all who ask at the same moment
NO_ANSWER = "does not answer"

_last: tuple[float, dict[str, Any]] = (float("-inf"), {})


def collect(now: datetime) -> dict[str, Any]:
    """Never raises: what cannot be asked says so in its place."""
    stores = {name: ask(question) for name, question in STORES.items()}
    stages = {name: ask_stage(question, now) for name, question in STAGES.items()}
    models = ask_ages(model_ages, now)
    catalogs = ask_ages(catalog_ages, now)
    built = [age for age in models.values() if age is not None]
    return {
        "status": state_of(stores, stages),
        "stores": stores,
        "stages": stages,
        "model_age_seconds": max(built, default=None),
        "models": models,
        "catalogs": catalogs,
    }


def state_of(stores: Mapping[str, str], stages: Mapping[str, Mapping[str, Any]]) -> str:
    if any(answer != "ok" for answer in stores.values()):
        return "down"
    for stage in stages.values():
        if stage.get("error") or (stage.get("oldest_seconds") or 0) > LATE_SECONDS:
            return "degraded"
    return "ok"


# --- questions ------------------------------------------------------------------------------


def ask(question: Callable[[], object]) -> str:
    try:
        question()
    except Exception as exc:
        logger.warning("a store does not answer", extra={"reason": type(exc).__name__})
        return NO_ANSWER
    return "ok"


def ask_stage(question: Callable[[datetime], Mapping[str, Any]], now: datetime) -> dict[str, Any]:
    try:
        return dict(question(now))
    except Exception as exc:
        logger.warning("a stage cannot be asked", extra={"reason": type(exc).__name__})
        return {"oldest_seconds": None, "depth": None, "error": NO_ANSWER}


def ask_ages(question: Callable[[datetime], Mapping[str, Any]], now: datetime) -> dict[str, Any]:
    try:
        return dict(question(now))
    except Exception as exc:
        logger.warning("ages cannot be asked", extra={"reason": type(exc).__name__})
        return {}


def ask_database() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")


def ask_redis() -> None:
    our_redis.client().ping()


def ingest_stage(now: datetime) -> Mapping[str, Any]:
    from engage.collector import stream

    return stream.health()


def schedule_stage(now: datetime) -> Mapping[str, Any]:
    from campaigns import runs

    return runs.health(now)


def sending_stage(now: datetime) -> Mapping[str, Any]:
    from delivery import outbox

    return outbox.health(now)


def model_ages(now: datetime) -> Mapping[str, float | None]:
    from recommendations import registry

    return registry.model_ages(now)


def catalog_ages(now: datetime) -> Mapping[str, Any]:
    from catalog import snapshot

    return snapshot.ages(now)


STORES: dict[str, Callable[[], object]] = {"postgres": ask_database, "redis": ask_redis}
STAGES: dict[str, Callable[[datetime], Mapping[str, Any]]] = {
    "ingest": ingest_stage,
    "schedule": schedule_stage,
    "outbox": sending_stage,
}


# --- doors ----------------------------------------------------------------------------------


def recent() -> dict[str, Any]:
    global _last
    moment = time.monotonic()
    if moment - _last[0] > REMEMBER_SECONDS:
        _last = (moment, collect(clock.now()))
    return _last[1]


def healthz(request: HttpRequest) -> HttpResponse:
    """200 while the stores answer, else 503; the header says which start of the runner we are."""
    state = recent()
    answer = JsonResponse(state, status=503 if state["status"] == "down" else 200)
    answer["X-Engage-Instance"] = settings.INSTANCE_NONCE
    answer["Cache-Control"] = "no-store"
    return answer


def metrics(request: HttpRequest) -> HttpResponse:
    """The same facts for Prometheus."""
    text = render(families(recent()))
    return HttpResponse(text, content_type="text/plain; version=0.0.4; charset=utf-8")


def families(state: Mapping[str, Any]) -> Iterator[Family]:
    yield Family(
        "engage_store_up",
        "1 when the store answers.",
        [({"store": name}, answer == "ok") for name, answer in state["stores"].items()],
    )
    stages = state["stages"].items()
    yield Family(
        "engage_stage_oldest_seconds",
        "How long the oldest entry of the stage has been waiting.",
        [({"stage": name}, stage.get("oldest_seconds")) for name, stage in stages],
    )
    yield Family(
        "engage_stage_depth",
        "How many entries of the stage wait.",
        [({"stage": name}, stage.get("depth")) for name, stage in stages],
    )
    yield Family(
        "engage_model_age_seconds",
        "How long ago the model that is served was built.",
        [({"catalog": name}, age) for name, age in state["models"].items()],
    )
    catalogs = state["catalogs"].items()
    yield Family(
        "engage_catalog_age_seconds",
        "How long ago the catalog changed.",
        [({"catalog": name}, facts.get("age_seconds")) for name, facts in catalogs],
    )
    yield Family(
        "engage_catalog_products",
        "How many products the catalog has.",
        [({"catalog": name}, facts.get("products")) for name, facts in catalogs],
    )
