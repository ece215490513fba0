from datetime import timedelta

import pytest
import redis

from engage.lib import clock, progress, under_way
from engage.lib.under_way import list_under_way, telling

MAY = "catalog.view_upload"


@pytest.fixture
def told(redis_keys, monkeypatch):
    monkeypatch.setattr(under_way, "EVERY_SECONDS", 0)
    return lambda: list_under_way(now=clock.now())


def test_work_is_listed_while_it_lasts_and_gone_when_it_ends(told):
    with telling("Reading a.csv", permission=MAY, key="upload-1") as tell:
        tell(0.25, "comparing")
        (work,) = told()
        assert (work.key, work.title, work.permission) == ("upload-1", "Reading a.csv", MAY)
        assert (work.share, work.step) == (0.25, "comparing")
    assert told() == []


def test_work_that_breaks_is_gone_too(told):
    with pytest.raises(ValueError, match="broken"), telling("x", permission=MAY):
        raise ValueError("broken")
    assert told() == []


def test_killed_work_is_forgotten_after_two_minutes(told):
    board = under_way._Board("killed", "Reading", MAY)
    board.tell(0.5)
    assert len(told()) == 1
    assert list_under_way(now=clock.now() + timedelta(seconds=121)) == []
    assert 0 < redis_ttl() <= under_way.KEPT_SECONDS


def redis_ttl() -> int:
    return under_way.client().ttl(under_way._name())


def test_many_words_are_few_writes(redis_keys):
    before = writes()
    with telling("Reading", permission=MAY) as tell:
        for thousandth in range(1_000):
            tell(thousandth / 1_000)
        assert writes() - before <= 2  # one, or two on a slow machine


def writes() -> int:
    return int(under_way.client().info("commandstats").get("cmdstat_hset", {}).get("calls", 0))


def test_work_goes_on_while_redis_is_away(monkeypatch):
    nowhere = redis.Redis(unix_socket_path="/nowhere/redis.sock")
    monkeypatch.setattr(under_way, "client", lambda: nowhere)
    with telling("Reading", permission=MAY) as tell:
        tell(0.5)
        assert list_under_way(now=clock.now()) == []


def test_name_in_no_encoding_can_be_shown(told):
    with telling("Reading \udcff.csv" + "x" * 500, permission=MAY):
        (work,) = told()
        assert work.title.startswith("Reading ?.csv")
        assert len(work.title) == under_way.LONGEST_TITLE


def test_command_tells_the_admin_what_it_draws(told, capsys):
    with progress.shown("Loading events", permission=MAY) as tell:
        tell(0.5)
        (work,) = told()
        assert work.share == 0.5
    assert capsys.readouterr().err == ""  # nobody watches this terminal
