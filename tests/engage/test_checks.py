import pytest
import redis

from engage import checks


def ids(messages) -> list[str]:
    return [message.id for message in messages]


def test_psycopg_3_is_refused_before_django_takes_it(monkeypatch):
    assert checks.check_driver(None) == []
    monkeypatch.setattr(checks, "find_spec", lambda name: object())
    assert ids(checks.check_driver(None)) == ["engage.E001"]


@pytest.mark.parametrize(
    ("allowed", "found"),
    [
        (["localhost"], ["engage.W001"]),
        (["shop.example"], []),
        ([".example"], []),
        (["*"], []),
    ],
)
def test_links_must_lead_to_an_allowed_host(settings, allowed, found):
    settings.PUBLIC_URL = "https://shop.example"
    settings.ALLOWED_HOSTS = allowed
    assert ids(checks.check_hosts(None)) == found


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("http://shop.example", ["engage.W002"]),
        ("https://shop.example", []),
        ("http://localhost:8000", []),
    ],
)
def test_links_to_the_world_are_encrypted(settings, url, found):
    settings.PUBLIC_URL = url
    assert ids(checks.check_https(None)) == found


class TestRedis:
    @pytest.fixture(autouse=True)
    def external(self, settings):
        settings.EMBEDDED_REDIS = False

    def test_embedded_one_is_not_asked(self, settings, monkeypatch):
        settings.EMBEDDED_REDIS = True
        monkeypatch.delattr(checks, "ask")
        assert checks.check_redis(None) == []

    def test_durable_one_is_fine(self, monkeypatch):
        monkeypatch.setattr(checks, "ask", checks.WANTED.get)
        assert checks.check_redis(None) == []

    def test_forgetful_one_is_named_with_what_to_set(self, monkeypatch):
        found = {**checks.WANTED, "appendfsync": "everysec"}
        monkeypatch.setattr(checks, "ask", found.get)
        [message] = checks.check_redis(None)
        assert message.msg == "The Redis of REDIS_URL runs with appendfsync everysec."
        assert message.hint.startswith("Set appendfsync always: ")

    def test_one_that_tells_nothing_is_said_to(self, monkeypatch):
        def refuse(name):
            raise redis.ResponseError("unknown command CONFIG")

        monkeypatch.setattr(checks, "ask", refuse)
        assert ids(checks.check_redis(None)) == ["engage.W003"]

    def test_real_one_answers_with_words(self):
        assert checks.ask("maxmemory-policy") == "noeviction"


def test_start_of_the_runner_asks_every_room(settings):
    settings.SMTP_URL = "mail.example"
    settings.PUBLIC_URL = "https://elsewhere.example"
    found = {one.id: one for one in checks.list_messages()}  # servers of one's own add warnings
    assert {"delivery.E002", "engage.W001"} <= found.keys()
    assert found["delivery.E002"].msg.startswith(
        "ENGAGE_SMTP_URL cannot be read: expected smtp://"
    )
