"""The API for servers: who may, what errors look like, and the offline description."""

import json
import re

import pytest

from engage.collector import access
from tests.factories import make_catalog, make_profile

pytestmark = pytest.mark.django_db
DOORS = [
    ("GET", "/v1/recommendations"),
    ("GET", "/v1/catalogs/default/items"),
    ("PUT", "/v1/catalogs/default/items"),
    ("PATCH", "/v1/catalogs/default/items"),
    ("DELETE", "/v1/catalogs/default/items"),
    ("GET", "/v1/profiles/u1"),
    ("DELETE", "/v1/profiles/u1"),
    ("POST", "/v1/messages"),
]


@pytest.fixture(autouse=True)
def fresh(redis_keys):
    access.forget_keys()


@pytest.fixture
def server_key() -> str:
    return access.create_key("back office", kind="server")


def call(client, method, path, key, body=None):
    headers = {"authorization": f"Bearer {key}"} if key else {}
    raw = json.dumps(body) if body is not None else ""
    return client.generic(method, path, raw, headers=headers, content_type="application/json")


@pytest.mark.parametrize(("method", "path"), DOORS)
def test_write_key_opens_no_door_for_servers(client, method, path):
    answer = call(client, method, path, access.create_key("app", kind="write"), {"items": []})
    assert (answer.status_code, answer.json()["code"]) == (403, "server_key_needed")


@pytest.mark.parametrize(("method", "path"), DOORS)
@pytest.mark.parametrize("key", ["", "sk_wrong"])
def test_no_key_opens_no_door(client, method, path, key):
    answer = call(client, method, path, key, {"items": []})
    assert (answer.status_code, answer.json()["code"]) == (401, "invalid_server_key")
    assert set(answer.json()) == {"success", "code", "message", "detail"}


def test_server_key_opens_them_as_basic_user_too(client, server_key):
    import base64

    make_catalog()
    basic = base64.b64encode(f"{server_key}:".encode()).decode()
    answer = client.get("/v1/catalogs/default/items", headers={"authorization": f"Basic {basic}"})
    assert answer.status_code == 200


def test_server_key_may_send_events(client, server_key):
    body = {"batch": [{"type": "track", "event": "Viewed", "userId": "u1"}]}
    assert call(client, "POST", "/v1/batch", server_key, body).status_code == 200


def test_person_is_exported_with_their_messages_and_erased(client, server_key):
    make_profile(user_id="u1", email="ann@shop.example")
    person = call(client, "GET", "/v1/profiles/u1", server_key).json()
    assert person["profile"]["attributes"] == {"email": "ann@shop.example"}
    assert (person["messages"], person["events"]) == ([], [])
    assert call(client, "DELETE", "/v1/profiles/u1", server_key).status_code == 200
    answer = call(client, "GET", "/v1/profiles/u1", server_key)
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


@pytest.mark.parametrize("body", ["{", "[1,", "\x00", "nul"])
def test_broken_body_names_itself(client, server_key, body):
    answer = client.generic(
        "PUT", "/v1/catalogs/default/items", body,
        headers={"authorization": f"Bearer {server_key}"}, content_type="application/json",
    )  # fmt: skip
    assert (answer.status_code, answer.json()["success"]) == (400, False)


def test_parameter_of_the_wrong_type_is_named(client, server_key):
    answer = call(client, "GET", "/v1/recommendations?n=many", server_key)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_input")
    assert "n" in answer.json()["message"]


@pytest.mark.parametrize("path", ["/v1/nothing", "/v1/", "/batchx", "/hooks/x"])
def test_unknown_path_is_404_in_json_for_machines(client, path):
    answer = client.get(path)
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


def test_description_names_every_door(client):
    paths = client.get("/docs/openapi.json").json()["paths"]
    assert {"/v1/batch", "/v1/track", "/v1/app-launch", "/v1/recommendations"} <= set(paths)
    assert set(paths["/v1/inbox"]) == {"get"}
    assert set(paths["/v1/messages"]) == {"post"}
    assert {"get", "put", "patch", "delete"} <= set(paths["/v1/catalogs/{name}/items"])
    assert {"get", "delete"} <= set(paths["/v1/profiles/{person_id}"])


def test_description_refers_only_to_what_it_has(client):
    text = client.get("/docs/openapi.json").content.decode()
    schemas = json.loads(text)["components"]["schemas"]
    assert set(re.findall(r"#/components/schemas/(\w+)", text)) <= set(schemas)
    assert schemas["Event"]["properties"]["userId"] == {"type": ["string", "integer", "null"]}


def test_page_loads_nothing_from_elsewhere(client):
    page = client.get("/docs/")
    links = re.findall(r'(?:src|href)="([^"]+)"', page.content.decode())
    assert len(links) == 4
    assert all(link.startswith("/static/") for link in links)
    assert b'"validatorUrl": null' in page.content
