"""Keys: made once, recognised everywhere, rotated without a gap."""

from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError

from engage.collector import access
from engage.collector.access import Access, create_key, find_key
from engage.collector.models import SdkKey, Source
from engage.lib import clock
from engage.lib.errors import InvalidInput

pytestmark = pytest.mark.django_db


def test_key_is_kept_as_a_digest_only():
    key = create_key("app", kind="write")
    row = SdkKey.objects.get()
    assert key.startswith("wk_")
    assert len(key) == 35
    assert row.digest == access.digest_of(key)
    assert row.hint == key[:8]


def test_keys_of_one_source_name_the_same_source():
    old, new = create_key("app", kind="write"), create_key(" app ", kind="write")
    source = Source.objects.get()
    assert find_key(old) == find_key(new) == Access(source.pk, "write")


def test_kinds_are_told_apart():
    assert find_key(create_key("app", kind="server")).kind == "server"


def test_both_keys_work_until_the_old_one_expires():
    old = create_key("app", kind="write", expires_at=clock.now() + timedelta(hours=1))
    new = create_key("app", kind="write")
    assert find_key(old) == find_key(new)
    SdkKey.objects.filter(hint=old[:8]).update(expires_at=clock.now())
    access.forget_keys()
    assert find_key(old) is None
    assert find_key(new) is not None


def test_revoked_key_is_refused_within_five_seconds(monkeypatch):
    key = create_key("app", kind="write")
    assert find_key(key) is not None
    SdkKey.objects.update(revoked_at=clock.now())
    assert find_key(key) is not None  # this process still remembers it
    later = access.time.monotonic() + 5.01
    monkeypatch.setattr(access.time, "monotonic", lambda: later)
    assert find_key(key) is None


def test_known_key_is_looked_up_once_in_five_seconds(django_assert_num_queries):
    key = create_key("app", kind="write")
    with django_assert_num_queries(1):
        assert [find_key(key) is None for _ in range(3)] == [False] * 3


def test_valid_key_stays_valid_while_the_database_is_away(monkeypatch):
    key = create_key("app", kind="write")
    assert find_key(key) is not None
    later = access.time.monotonic() + 60
    monkeypatch.setattr(access.time, "monotonic", lambda: later)

    def away(raw):
        raise OperationalError

    monkeypatch.setattr(access, "read_key", away)
    assert find_key(key) is not None
    with pytest.raises(OperationalError):
        find_key("wk_never_seen")


def test_guessing_does_not_fill_the_memory(monkeypatch):
    monkeypatch.setattr(access, "MOST_REMEMBERED", 3)
    for number in range(10):
        assert find_key(f"wk_{number}") is None
    assert len(access._remembered) <= 3


def test_command_prints_the_key_and_nothing_else(capsys):
    call_command("create_key", "my shop", "--kind", "server")
    out, err = capsys.readouterr()
    assert find_key(out.strip()).kind == "server"
    assert (out.count("\n"), err) == (1, "")


@pytest.mark.parametrize("name", ["", "  ", "x" * 101])
def test_bad_name_makes_nothing(name):
    with pytest.raises(CommandError, match="1 to 100 letters"):
        call_command("create_key", name)
    assert Source.objects.count() == 0


def test_bad_kind_makes_nothing():
    with pytest.raises(InvalidInput, match="write or server"):
        create_key("app", kind="root")
    assert Source.objects.count() == 0
