"""Every page of the admin answers, shows what people typed as text, and a GET changes nothing."""

import re

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.auth.models import Group, User
from django.db import connection
from django.test import Client
from django.urls import reverse

from engage import health
from engage.lib import admin as our_admin
from engage.roles import MARKETER
from tests.engage.admin.rows import HOSTILE, make_everything

MODELS = sorted(model._meta.label_lower for model in admin.site._registry)
pytestmark = pytest.mark.usefixtures("redis_keys")


@pytest.fixture
def everything(db):
    return make_everything()


def page_of(label: str):
    return admin.site._registry[apps.get_model(label)]


def url_of(label: str, name: str, *args: object) -> str:
    return reverse(f"admin:{label.replace('.', '_')}_{name}", args=args)


def key_of(page, row) -> str:
    return page.key_of(row) if hasattr(page, "key_of") else str(row.pk)


def table_state() -> dict[str, str]:
    """A digest of every table but the session's."""
    tables = [t for t in connection.introspection.table_names() if "session" not in t]
    with connection.cursor() as cursor:
        found = {}
        for table in tables:
            cursor.execute(f"SELECT md5(string_agg(t::text, '|' ORDER BY t::text)) FROM {table} t")
            found[table] = cursor.fetchone()[0]
    return found


@pytest.mark.parametrize("label", MODELS)
def test_list_answers(label: str, admin_client: Client, everything) -> None:
    answer = admin_client.get(url_of(label, "changelist"))
    assert answer.status_code == 200
    assert HOSTILE not in answer.content.decode()


@pytest.mark.parametrize("label", MODELS)
def test_list_can_be_searched_with_anything(label: str, admin_client: Client, everything) -> None:
    if not page_of(label).search_fields:
        pytest.skip("this list has no search")
    for term in ("ada", "1", "%_'\"", "9" * 40, "ada@mail.example", "ü" * 300):
        assert admin_client.get(url_of(label, "changelist"), {"q": term}).status_code == 200


@pytest.mark.parametrize("label", MODELS)
def test_row_answers(label: str, admin_client: Client, everything) -> None:
    page = page_of(label)
    row = page.model._default_manager.first()
    assert row is not None
    answer = admin_client.get(url_of(label, "change", key_of(page, row)))
    assert answer.status_code == 200
    assert HOSTILE not in answer.content.decode()


@pytest.mark.parametrize("label", MODELS)
def test_unknown_row_is_no_error_of_the_server(label: str, admin_client: Client, db) -> None:
    for key in ("0", "no~such~thing", "x", "9" * 30):
        answer = admin_client.get(url_of(label, "change", key))
        assert answer.status_code in {302, 404}


@pytest.mark.parametrize("label", MODELS)
def test_add_page_answers_where_adding_is_allowed(label: str, admin_client: Client, db) -> None:
    answer = admin_client.get(url_of(label, "add"))
    assert answer.status_code in {200, 403}


def test_empty_shop_has_a_dashboard(admin_client: Client) -> None:
    text = admin_client.get(reverse("admin:index")).content.decode()
    assert "Nothing was sent yet" in text


def test_dashboard_shows_figures(admin_client: Client, everything) -> None:
    text = admin_client.get(reverse("admin:index")).content.decode()
    assert re.search(r"Weekly</a>", text)
    assert "100.0 %" in text  # one message accepted, one clicked


def test_dashboard_stands_without_redis(admin_client: Client, everything, monkeypatch) -> None:
    def away() -> None:
        raise ConnectionError("refused")

    monkeypatch.setitem(health.STORES, "redis", away)
    text = admin_client.get(reverse("admin:index")).content.decode()
    assert re.search(r"Redis</div>\s*<div class=\"words\">does not answer", text)


def test_nobody_gets_in_without_logging_in(client: Client, db) -> None:
    for label in MODELS:
        assert client.get(url_of(label, "changelist")).status_code == 302


def test_get_changes_nothing(admin_client: Client, everything) -> None:
    before = table_state()
    for url in list_urls():
        assert admin_client.get(url).status_code in {200, 302, 403}
    assert table_state() == before


def list_urls() -> list[str]:
    """All pages of all rows, buttons included."""
    found = [reverse("admin:index")]
    for label in MODELS:
        page = page_of(label)
        found += [url_of(label, "changelist"), url_of(label, "add")]
        row = page.model._default_manager.first()
        key = key_of(page, row)
        found += [url_of(label, name, key) for name in ("change", "delete", "history")]
        found += [
            url_of(label, action) for action in page._extract_action_names(page.actions_list)
        ]
        found += [
            url_of(label, action, key)
            for action in page._extract_action_names(page.actions_detail)
        ]
    return found


def test_marketer_sees_marketing_and_no_keys(client: Client, everything) -> None:
    person = User.objects.create_user("maria", is_staff=True)
    person.groups.add(Group.objects.get(name=MARKETER))
    client.force_login(person)
    for label in ("campaigns.campaign", "catalog.product", "engage.messagerow"):
        assert client.get(url_of(label, "changelist")).status_code == 200
    for label in ("collector.sdkkey", "collector.source", "auth.user", "collector.quarantined"):
        assert client.get(url_of(label, "changelist")).status_code == 403
    home = client.get(reverse("admin:index")).content.decode()
    assert "SDK keys" not in home
    assert "Campaigns" in home


@pytest.mark.parametrize("label", MODELS)
def test_row_is_shown_only_to_who_may_see_it(label: str, client: Client, everything) -> None:
    client.force_login(User.objects.create_user("guest", is_staff=True))
    page = page_of(label)
    row = page.model._default_manager.first()
    for url in (url_of(label, "changelist"), url_of(label, "change", key_of(page, row))):
        assert client.get(url).status_code == 403


def test_secrets_are_shown_nowhere(admin_client: Client, everything) -> None:
    for url in list_urls():
        text = admin_client.get(url).content.decode()
        assert "d" * 64 not in text  # a key's digest
        assert "token-1" not in text  # a device's push token


def test_page_of_a_ledger_names_what_the_row_points_to(admin_client: Client, everything) -> None:
    page = page_of("engage.eventrow")
    row = page.model.objects.first()
    text = admin_client.get(
        url_of("engage.eventrow", "change", key_of(page, row))
    ).content.decode()
    person = reverse("admin:profiles_profile_change", args=[row.profile_id])
    assert text.count(f'<a class="textlink" href="{person}">') == 1


def test_device_page_says_that_there_is_a_token_and_not_which(
    admin_client: Client, everything
) -> None:
    page = page_of("engage.devicerow")
    row = page.model.objects.exclude(token="").first()
    url = url_of("engage.devicerow", "change", key_of(page, row))
    text = admin_client.get(url).content.decode()
    assert "has a token" in text
    assert row.token not in text


def test_list_says_how_many_rows_it_has(admin_client: Client, everything, monkeypatch) -> None:
    rows = page_of("engage.eventrow").model.objects.count()
    url = url_of("engage.eventrow", "changelist")
    text = " ".join(admin_client.get(url).content.decode().split())
    assert f"> {rows} event" in text
    assert "Show all" not in text  # they are all there
    monkeypatch.setattr(our_admin, "MOST_COUNTED", 1)
    text = " ".join(admin_client.get(url).content.decode().split())
    assert "> at least 1 event" in text


@pytest.mark.parametrize(
    ("query", "words"),
    [("", "There is no device."), ("?q=nobody", "No device is as you asked.")],
)
def test_empty_list_says_why_it_is_empty(admin_client: Client, query: str, words: str) -> None:
    answer = admin_client.get(url_of("engage.devicerow", "changelist") + query)
    assert words in " ".join(answer.content.decode().split())
