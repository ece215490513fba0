"""A restored or copied database sends nothing until somebody says that it counts."""

from datetime import timedelta
from uuid import uuid4

import pytest

from delivery import claiming, installation
from delivery.models import Halt, Installation
from tests.factories import NOON, make_message, make_profile

pytestmark = pytest.mark.django_db
HOUR = timedelta(hours=1)


@pytest.fixture(autouse=True)
def own_folder(tmp_path, settings):
    settings.DATA_DIR = tmp_path


def run_for(hours: int, *, start=NOON):
    for minute in range(hours * 60 + 1):
        assert installation.check(start + timedelta(minutes=minute)) == ""
    return start + timedelta(hours=hours)


def dump() -> dict:
    return Installation.objects.values().get()


def restore(rows: dict) -> None:
    Installation.objects.all().delete()
    Installation.objects.create(**rows)


def claimable() -> int:
    make_message(profile=make_profile(), run_id=1)
    return len(claiming.claim(channel="email", limit=10, now=NOON))


def test_a_new_installation_and_its_restarts_send(tmp_path):
    now = run_for(2)
    assert installation.read_file() == installation.Record(
        Installation.objects.get().name, Installation.objects.get().epoch
    )
    assert installation.check(now + 5 * 24 * HOUR) == ""
    assert claimable() == 1


def test_yesterdays_dump_sends_nothing_until_somebody_confirms():
    yesterday = run_for(1)
    rows = dump()
    run_for(3, start=yesterday)
    restore(rows)
    assert installation.check(yesterday + 4 * HOUR) == installation.OLDER
    assert Halt.objects.get().reason == installation.OLDER
    assert claimable() == 0
    assert installation.resume(now=yesterday + 4 * HOUR)
    assert installation.check(yesterday + 5 * HOUR) == ""
    assert claimable() == 2


def test_a_copy_made_a_second_before_the_last_message_sends_nothing_either():
    copied_at = run_for(1)
    rows = dump()
    sent_at = copied_at + timedelta(seconds=1)
    assert installation.check(sent_at) == ""  # the tick alone moves on once a minute
    assert dump() == rows
    assert installation.check(sent_at, epoch=installation.SENDING_EPOCH) == ""
    restore(rows)
    assert installation.check(sent_at + timedelta(seconds=5)) == installation.OLDER
    assert claimable() == 0


def test_a_copy_on_another_machine_sends_nothing(tmp_path, settings):
    now = run_for(1)
    settings.DATA_DIR = tmp_path / "elsewhere"
    assert installation.check(now + HOUR) == installation.MOVED
    assert installation.resume(now=now + HOUR)
    assert installation.check(now + 2 * HOUR) == ""


def test_another_host_of_a_living_installation_joins(tmp_path, settings):
    now = run_for(1)
    settings.DATA_DIR = tmp_path / "second host"
    assert installation.check(now + timedelta(seconds=30)) == ""
    assert installation.read_file() is not None
    assert installation.check(now + 3 * HOUR) == ""


def test_the_database_of_another_installation_sends_nothing():
    run_for(1)
    Installation.objects.update(name=uuid4())
    assert installation.check(NOON + HOUR) == installation.OTHER


def test_a_crash_between_row_and_file_is_no_problem(monkeypatch):
    run_for(1)
    monkeypatch.setattr(installation, "write_file", lambda record: None)
    for hour in range(2, 5):
        installation.check(NOON + hour * HOUR)
    monkeypatch.undo()
    assert installation.check(NOON + 6 * HOUR) == ""


@pytest.mark.parametrize("content", ["", "{", "[]", '{"name": "x", "epoch": 1}', '{"epoch": 1}'])
def test_a_damaged_file_is_like_none(content):
    now = run_for(1)
    installation.path().write_text(content)
    assert installation.check(now + HOUR) == installation.MOVED


def test_the_first_reason_stays_and_a_second_resume_changes_nothing():
    installation.halt("first", now=NOON)
    installation.halt("second", now=NOON)
    assert Halt.objects.get().reason == "first"
    assert [installation.resume(now=NOON), installation.resume(now=NOON)] == [True, False]
