"""/healthz and /metrics, with everything well and with a store away."""

import json

import pytest
import redis
from django.db import OperationalError
from django.test import RequestFactory

from engage import health


@pytest.fixture(autouse=True)
def nothing_remembered(monkeypatch):
    monkeypatch.setattr(health, "_last", (float("-inf"), {}))


@pytest.fixture
def stages(monkeypatch):
    """The stages as the test wants them."""
    found = {"ingest": lambda now: {"oldest_seconds": 0.5, "depth": 3}}
    monkeypatch.setattr(health, "STAGES", found)
    monkeypatch.setattr(health, "model_ages", lambda now: {"default": 60.0, "news": None})
    monkeypatch.setattr(
        health, "catalog_ages", lambda now: {"default": {"age_seconds": 5.0, "products": 7}}
    )
    return found


def ask(view=health.healthz):
    return view(RequestFactory().get("/healthz"))


@pytest.mark.django_db
def test_all_rooms_answer(now):
    state = health.collect(now)
    assert state["status"] == "ok"
    assert state["stores"] == {"postgres": "ok", "redis": "ok"}
    assert set(state["stages"]) == {"ingest", "schedule", "outbox"}
    assert all(stage["depth"] == 0 for stage in state["stages"].values())
    assert state["model_age_seconds"] is None
    assert state["catalogs"] == {}


@pytest.mark.django_db
def test_answer_names_the_start_it_belongs_to(stages, settings):
    settings.INSTANCE_NONCE = "a nonce"
    answer = ask()
    assert (answer.status_code, answer["X-Engage-Instance"]) == (200, "a nonce")
    assert json.loads(answer.content) == {
        "status": "ok",
        "stores": {"postgres": "ok", "redis": "ok"},
        "stages": {"ingest": {"oldest_seconds": 0.5, "depth": 3}},
        "model_age_seconds": 60.0,
        "models": {"default": 60.0, "news": None},
        "catalogs": {"default": {"age_seconds": 5.0, "products": 7}},
    }


@pytest.mark.django_db
def test_old_work_is_degraded_and_still_200(stages):
    stages["ingest"] = lambda now: {"oldest_seconds": health.LATE_SECONDS + 1, "depth": 1}
    answer = ask()
    assert (answer.status_code, json.loads(answer.content)["status"]) == (200, "degraded")


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("name", "problem"),
    [("postgres", OperationalError("secret host")), ("redis", redis.ConnectionError("secret"))],
)
def test_store_that_is_away_is_503_in_json_and_tells_no_secrets(
    stages, monkeypatch, name, problem
):
    def refuse():
        raise problem

    monkeypatch.setitem(health.STORES, name, refuse)
    answer = ask()
    state = json.loads(answer.content)
    assert (answer.status_code, state["status"]) == (503, "down")
    assert state["stores"][name] == "does not answer"
    assert b"secret" not in answer.content


@pytest.mark.django_db
def test_stage_that_cannot_be_asked_says_so_in_its_place(stages):
    def refuse(now):
        raise OperationalError

    stages["ingest"] = refuse
    state = json.loads(ask().content)
    assert state["status"] == "degraded"
    assert state["stages"]["ingest"] == {
        "oldest_seconds": None,
        "depth": None,
        "error": "does not answer",
    }


@pytest.mark.django_db
def test_metrics_have_the_same_facts(stages):
    lines = ask(health.metrics).content.decode().splitlines()
    assert [line for line in lines if not line.startswith("#")] == [
        'engage_store_up{store="postgres"} 1',
        'engage_store_up{store="redis"} 1',
        'engage_stage_oldest_seconds{stage="ingest"} 0.5',
        'engage_stage_depth{stage="ingest"} 3',
        'engage_model_age_seconds{catalog="default"} 60',
        'engage_catalog_age_seconds{catalog="default"} 5',
        'engage_catalog_products{catalog="default"} 7',
    ]


@pytest.mark.django_db
def test_many_questions_at_once_are_one_look(stages):
    looks = []
    stages["ingest"] = lambda now: looks.append(now) or {"oldest_seconds": 0.0, "depth": 0}
    for _ in range(5):
        ask()
    assert len(looks) == 1
