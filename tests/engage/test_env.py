from pathlib import Path

import pytest

from engage import env
from engage.env import SettingError


@pytest.fixture
def given(monkeypatch):
    return lambda value: monkeypatch.setenv("ENGAGE_THING", value)


def test_missing_and_empty_variables_are_the_default(given):
    assert env.text("ENGAGE_THING", "usual") == "usual"
    given("")
    assert env.text("ENGAGE_THING", "usual") == "usual"


def test_value_comes_from_a_file_that_is_named(monkeypatch, tmp_path):
    (tmp_path / "secret").write_text("hush\n")
    monkeypatch.setenv("ENGAGE_THING_FILE", str(tmp_path / "secret"))
    assert env.text("ENGAGE_THING") == "hush"


def test_file_that_is_not_there_stops_the_start(monkeypatch, tmp_path):
    monkeypatch.setenv("ENGAGE_THING_FILE", str(tmp_path / "none"))
    with pytest.raises(SettingError, match="ENGAGE_THING_FILE: cannot be read"):
        env.text("ENGAGE_THING")


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("twelve", "ENGAGE_THING: is 'twelve', expected a whole number"),
        ("0", "ENGAGE_THING: is 0, expected 1 to 9"),
        ("10", "ENGAGE_THING: is 10, expected 1 to 9"),
    ],
)
def test_wrong_number_stops_the_start_with_a_sentence(given, value, problem):
    given(value)
    with pytest.raises(SettingError) as caught:
        env.integer("ENGAGE_THING", 5, minimum=1, maximum=9)
    assert str(caught.value) == problem


@pytest.mark.parametrize(("value", "meant"), [("yes", True), ("ON", True), ("0", False)])
def test_yes_and_no_in_many_spellings(given, value, meant):
    given(value)
    assert env.flag("ENGAGE_THING", default=not meant) is meant


def test_neither_yes_nor_no_stops_the_start(given):
    given("perhaps")
    with pytest.raises(SettingError, match="expected yes or no"):
        env.flag("ENGAGE_THING")


def test_unknown_choice_names_the_known_ones(given):
    given("c")
    with pytest.raises(SettingError, match="expected one of a, b"):
        env.choice("ENGAGE_THING", "a", options=("a", "b"))


def test_list_is_separated_by_commas(given):
    given("one, two,,three ")
    assert env.names("ENGAGE_THING", "") == ["one", "two", "three"]


def test_database_url_is_taken_apart(given):
    given("postgres://me%40home:p%2Fw@db.example:6432/shop%20one?sslmode=require")
    assert env.database("ENGAGE_THING", socket_dir=Path("/run")) == {
        "NAME": "shop one",
        "USER": "me@home",
        "PASSWORD": "p/w",
        "HOST": "db.example",
        "PORT": "6432",
    }
    assert env.database_options("ENGAGE_THING") == {"sslmode": "require"}


@pytest.mark.parametrize("url", ["mysql://host/shop", "postgres://host", "shop"])
def test_other_database_url_stops_the_start(given, url):
    given(url)
    with pytest.raises(SettingError, match="expected postgres://"):
        env.database("ENGAGE_THING", socket_dir=Path("/run"))


def test_without_a_url_the_embedded_server_is_meant():
    found = env.database("ENGAGE_THING", socket_dir=Path("/data/run"))
    assert (found["HOST"], found["NAME"]) == ("/data/run", "engage")


def test_secret_key_is_made_once_and_only_its_owner_reads_it(tmp_path):
    file = tmp_path / "new folder" / "secret_key"
    first = env.secret_key("ENGAGE_THING", keep_in=file)
    assert env.secret_key("ENGAGE_THING", keep_in=file) == first
    assert len(first) == 64
    assert (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777) == (0o600, 0o700)


def test_short_secret_key_is_refused(given, tmp_path):
    given("short")
    with pytest.raises(SettingError, match="shorter than 32"):
        env.secret_key("ENGAGE_THING", keep_in=tmp_path / "secret_key")
