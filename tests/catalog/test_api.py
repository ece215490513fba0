import json

import pytest
from django.urls import path
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ninja import NinjaAPI

from catalog.api import router
from catalog.models import Catalog, Product
from engage.lib.api import install_handlers
from tests.factories import make_catalog

pytestmark = [pytest.mark.django_db, pytest.mark.urls(__name__)]

api = NinjaAPI(urls_namespace="catalog-alone")
api.add_router("/v1", router)
install_handlers(api)
urlpatterns = [path("", api.urls)]
ITEMS = "/v1/catalogs/default/items"


def ask(client, method, url, body=None):
    data = body if isinstance(body, str) else json.dumps(body)
    response = client.generic(method, url, data, content_type="application/json")
    return response.status_code, response.json()


@pytest.mark.parametrize("wrap", [lambda items: {"items": items}, lambda items: items])
def test_put_answers_for_each_item(client, wrap):
    items = [{"id": "a", "name": "A"}, {"id": "b"}]
    assert ask(client, "PUT", ITEMS, wrap(items)) == (
        200,
        {
            "accepted": 1,
            "rejected": [
                {
                    "index": 1,
                    "id": "b",
                    "code": "invalid_item",
                    "message": "name: is missing",
                }
            ],
            "version": 1,
        },
    )


def test_a_thousand_products_with_long_texts_fit(client):
    items = [{"id": str(n), "name": "A", "about": "x" * 8_000} for n in range(1_000)]
    status, answer = ask(client, "PUT", ITEMS, items)
    assert (status, answer["accepted"]) == (200, 1_000)


def test_patch_and_get(client):
    make_catalog(products=2)
    status, answer = ask(client, "PATCH", ITEMS, [{"id": "p1", "in_stock": False}])
    assert (status, answer["accepted"], answer["version"]) == (200, 1, 2)
    status, item = ask(client, "GET", f"{ITEMS}/p1")
    assert (status, item["in_stock"], item["price"]) == (200, False, "1.00")


@pytest.mark.parametrize("entry", ["p1", {"id": "p1"}])
def test_delete_takes_ids_or_objects(client, entry):
    make_catalog(products=2)
    status, answer = ask(client, "DELETE", ITEMS, {"items": [entry]})
    assert (status, answer["accepted"], answer["rejected"]) == (200, 1, [])
    assert list(Product.objects.filter(deleted_at=None).values_list("item_id", flat=True)) == [
        "p2"
    ]


def test_list_pages_by_id(client):
    make_catalog(products=3)
    status, first = ask(client, "GET", f"{ITEMS}?limit=2")
    assert (status, [item["id"] for item in first["items"]], first["next"]) == (
        200,
        ["p1", "p2"],
        "p2",
    )
    status, rest = ask(client, "GET", f"{ITEMS}?limit=2&after=p2")
    assert ([item["id"] for item in rest["items"]], rest["next"]) == (["p3"], None)


def test_id_with_slashes_is_found(client):
    ask(client, "PUT", ITEMS, [{"id": "a/b c", "name": "A"}])
    assert ask(client, "GET", f"{ITEMS}/a/b%20c")[0] == 200


@pytest.mark.parametrize(
    ("method", "url", "body", "status", "code"),
    [
        ("PATCH", "/v1/catalogs/nope/items", [{"id": "a"}], 404, "unknown_catalog"),
        ("GET", "/v1/catalogs/nope/items", None, 404, "unknown_catalog"),
        ("GET", f"{ITEMS}/nope", None, 404, "unknown_item"),
        ("PUT", "/v1/catalogs/No%20Name/items", [{"id": "a", "name": "A"}], 400, "invalid_input"),
        ("PUT", ITEMS, {"products": []}, 400, "invalid_input"),
        ("PUT", ITEMS, [], 400, "invalid_input"),
        ("PUT", ITEMS, "{", 400, "unreadable_body"),
        ("PUT", ITEMS, "7", 400, "invalid_input"),
        ("PUT", ITEMS, "[" * 100_000, 400, "unreadable_body"),
        ("DELETE", ITEMS, [None], 400, "invalid_input"),
        ("GET", f"{ITEMS}?limit=0", None, 400, "invalid_input"),
        ("GET", f"{ITEMS}?limit=many", None, 400, "invalid_input"),
        ("GET", f"{ITEMS}?after=%00", None, 400, "invalid_input"),
    ],
)
def test_refusals_have_one_shape(client, method, url, body, status, code):
    make_catalog(products=1)
    found, answer = ask(client, method, url, body)
    assert (found, answer["success"], answer["code"]) == (status, False, code)
    assert set(answer) == {"success", "code", "message", "detail"}
    assert Product.objects.count() == 1


LIST_EXPECTED = 'The body: expected a list of items, or {"items": [...]}.'


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("7", LIST_EXPECTED),
        ('"x"', LIST_EXPECTED),
        ("null", LIST_EXPECTED),
        ("{}", LIST_EXPECTED),
        ('{"items": {}}', LIST_EXPECTED),
        ("", "There are 0 items, expected 1 to 1,000."),
        (
            '[{"id": 1},]',
            "Cannot parse request body: ",
        ),
        ('[{"id":', "Cannot parse request body: Expecting value: line 1 column 8 (char 7)."),
    ],
)
@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
def test_body_of_another_shape_is_answered_in_a_sentence(client, method, body, message):
    make_catalog(products=1)
    status, answer = ask(client, method, ITEMS, body)
    assert status == 400
    assert answer["message"].startswith(message)
    assert Catalog.objects.get().version == 1


anything = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        st.text(),
        st.sampled_from(["a\x00", "\ud800", "-1", "1e5", "http://[", 10**400, "2026-01-01", ""]),
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(), inner)),
    max_leaves=5,
)
names = st.sampled_from(["id", "name", "price", "url", "in_stock", "currency", "own", "Price", ""])
bodies = st.lists(st.one_of(anything, st.dictionaries(names, anything)), max_size=3)


@given(body=bodies, method=st.sampled_from(["PUT", "PATCH", "DELETE"]))
@settings(
    max_examples=200,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_no_body_breaks_anything(client, body, method):
    raw = json.dumps([{"id": "p1", "name": "P"}, *body])
    status, answer = ask(client, method, ITEMS, raw)
    assert status in {200, 400, 404}, answer
    if status == 200:
        assert answer["accepted"] + len(answer["rejected"]) == len(body) + 1
