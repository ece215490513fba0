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


def test_file_that_is_no_text_stops_the_start(monkeypatch, tmp_path):
    (tmp_path / "picture").write_bytes(b"\xff\xd8")
    monkeypatch.setenv("ENGAGE_THING_FILE", str(tmp_path / "picture"))
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


@pytest.mark.parametrize(
    "value",
    [
        "redis://localhost:6379/0",
        "rediss://:hush@cache.example",
        "unix:///run/a shop/redis.sock?db=0",
    ],
)
def test_address_is_taken_as_it_is(given, value):
    given(value)
    assert env.url("ENGAGE_THING", schemes=("redis", "rediss", "unix")) == value


@pytest.mark.parametrize(
    "value",
    ["cache", "cache:6379", "http://cache", "redis://", "redis://:hush@cache:port", "unix://"],
)
def test_other_address_stops_the_start_and_is_not_repeated(given, value):
    given(value)
    with pytest.raises(SettingError) as caught:
        env.url("ENGAGE_THING", schemes=("redis", "unix"))
    assert str(caught.value) == (
        "ENGAGE_THING: is no address that Engage can use, expected redis://…, unix://…"
    )


def test_origin_needs_its_scheme(given):
    given("https://shop.example, shop.example")
    with pytest.raises(SettingError, match=r"'shop\.example', expected http"):
        env.origins("ENGAGE_THING")


def test_folder_is_made_for_its_owner_and_an_older_one_keeps_its_mode(given, tmp_path):
    given(str(tmp_path / "new" / "data"))
    assert env.folder("ENGAGE_THING", tmp_path).stat().st_mode & 0o777 == 0o700
    (tmp_path / "old").mkdir(mode=0o755)
    given(str(tmp_path / "old"))
    assert env.folder("ENGAGE_THING", tmp_path).stat().st_mode & 0o777 == 0o755


@pytest.mark.parametrize("value", ["/dev/null", "/dev/null/data", "~no.such.user/data"])
def test_place_that_is_no_folder_stops_the_start(given, value):
    given(value)
    with pytest.raises(SettingError, match="ENGAGE_THING: is no folder that can be used"):
        env.folder("ENGAGE_THING", Path("/"))


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


@pytest.mark.parametrize(
    "url",
    [
        "mysql://host/shop",
        "postgres://host",
        "shop",
        "postgres://ada:hush@host:port/shop",
        "postgres://ada:hush@[host/shop",
    ],
)
def test_other_database_url_stops_the_start(given, url):
    given(url)
    with pytest.raises(SettingError, match=r"^(?!.*hush).*expected postgres://"):
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


def test_secret_key_is_whole_or_not_there(monkeypatch, tmp_path):
    file = tmp_path / "secret_key"
    seen = []
    monkeypatch.setattr(
        env.secrets, "token_urlsafe", lambda size: seen.append(file.exists()) or "k" * 64
    )
    link = env.os.link
    monkeypatch.setattr(
        env.os, "link", lambda draft, to: seen.append(Path(draft).read_text()) or link(draft, to)
    )
    env.secret_key("ENGAGE_THING", keep_in=file)
    assert seen == [False, "k" * 64]
    assert list(tmp_path.iterdir()) == [file]


def test_secret_key_of_a_faster_process_stays(monkeypatch, tmp_path):
    file = tmp_path / "secret_key"
    file.write_text("f" * 64)
    monkeypatch.setattr(Path, "exists", lambda self: False)  # it came after we looked
    assert env.secret_key("ENGAGE_THING", keep_in=file) == "f" * 64


@pytest.mark.parametrize("content", [b"", b"short", b"\xff" * 64])
def test_kept_file_that_holds_no_key_stops_the_start(tmp_path, content):
    (tmp_path / "secret_key").write_bytes(content)
    with pytest.raises(SettingError, match=r"ENGAGE_THING: is not set, and .*secret_key"):
        env.secret_key("ENGAGE_THING", keep_in=tmp_path / "secret_key")
    assert (tmp_path / "secret_key").read_bytes() == content


def test_short_secret_key_is_refused(given, tmp_path):
    given("short")
    with pytest.raises(SettingError, match="shorter than 32"):
        env.secret_key("ENGAGE_THING", keep_in=tmp_path / "secret_key")


@pytest.mark.parametrize(
    ("redis_url", "address"),
    [
        ("unix:///run/redis.sock", "redis+socket:///run/redis.sock?virtual_host=0"),
        ("unix:///run/redis.sock?db=1", "redis+socket:///run/redis.sock?virtual_host=1"),
        ("rediss://:secret@cache.example:6380/2", "rediss://:secret@cache.example:6380/2"),
    ],
)
def test_redis_on_a_socket_is_spelled_as_celery_wants_it(redis_url, address):
    assert env.celery_address(redis_url) == address


@pytest.mark.parametrize(
    ("said", "read"),
    [
        ("", []),
        ("localhost", [("localhost", 0)]),
        ("Box.internal:9000, [::1]:80", [("box.internal", 9000), ("::1", 80)]),
    ],
)  # fmt: skip
def test_hosts_are_read_with_their_ports(monkeypatch, said, read):
    monkeypatch.setenv("ENGAGE_X", said)
    assert env.hosts("ENGAGE_X") == read


@pytest.mark.parametrize(
    "said",
    ["http://box", "box/path", "box:x", "box:0", "box:99999", "ann@box", ":80", "[::1", "a b"],
)
def test_what_is_no_host_stops_the_start(monkeypatch, said):
    monkeypatch.setenv("ENGAGE_X", said)
    with pytest.raises(SystemExit, match=r"ENGAGE_X: has .*, expected host or host:port"):
        env.hosts("ENGAGE_X")


def test_patterns_of_hosts_are_names_and_all_below_them(monkeypatch):
    monkeypatch.setenv("ENGAGE_X", "Push.example, *.push.example,*")
    assert env.host_patterns("ENGAGE_X", "") == ["push.example", "*.push.example", "*"]


@pytest.mark.parametrize("said", ["https://push.example", "*push.example", "a.*.b", "a:443", ".a"])
def test_what_is_no_pattern_of_hosts_stops_the_start(monkeypatch, said):
    monkeypatch.setenv("ENGAGE_X", said)
    with pytest.raises(SystemExit, match=r"ENGAGE_X: has .*, expected push.example or \*\."):
        env.host_patterns("ENGAGE_X", "")
