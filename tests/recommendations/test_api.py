import json

import pytest
from django.test import RequestFactory
from ninja import NinjaAPI
from ninja.testing import TestClient

from engage.lib import clock, redis
from engage.lib.api import install_handlers
from engage.profiles import activity, people
from engage.profiles.activity import Touch
from recommendations.api import router
from tests.factories import make_profile
from tests.recommendations.shops import (
    BUY,
    VIEW,
    change,
    log_of,
    make_shop,
    publish,
    store_history,
)

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis_keys")]
IDS = ["a", "b", "c", "d"]
HEAVIER = '{"column": "price", "op": ">", "value": {"context": "trigger.weight"}}'


@pytest.fixture(scope="module")
def client():
    api = NinjaAPI(urls_namespace="recommendations-test")
    api.add_router("", router)
    install_handlers(api)
    return TestClient(api)


@pytest.fixture
def shop():
    catalog = make_shop(IDS)
    publish(log_of([["a", "b", "c"]] * 2 + [["a", "b"], ["d"]], IDS), IDS)
    return catalog


def ask(client, **parameters):
    return client.get("/recommendations?" + "&".join(f"{k}={v}" for k, v in parameters.items()))


def hint(item, event=VIEW, **identity):
    """As the collector does before it answers."""
    touch = Touch(item, event, clock.to_millis(clock.now()), f"m-{item}")
    ids = {"user_id": "", "anonymous_id": ""} | identity
    activity.note_pending(redis.client(), **ids, touches=[touch])


def test_answer_has_the_promised_shape(client, shop):
    make_profile(user_id="ann")
    hint("a", user_id="ann")
    answer = ask(client, userId="ann", n=1)
    assert answer.status_code == 200
    body = answer.json()
    score = body["items"][0].pop("score")
    assert score > 0
    assert body == {
        "items": [
            {
                "id": "b",
                "name": "B",
                "price": "11.00",
                "currency": "EUR",
                "image_url": "https://shop.example/b.jpg",
                "url": "https://shop.example/b",
                "rank": 1,
                "rung": "personal",
                "source": "next",
                "reason": "because you viewed A",
                "p": 1,
            }
        ],
        "strategy": "personal",
        "build": body["build"],
        "short": False,
    }


def test_just_bought_is_gone_before_it_is_stored(client, shop):
    make_profile(user_id="ann")
    hint("b", BUY, user_id="ann")
    body = ask(client, userId="ann", n=4).json()
    assert [item["id"] for item in body["items"]] == ["c", "a", "d"]
    assert body["short"] is True


def test_unknown_visitor_is_answered_from_what_they_just_did(client, shop):
    hint("a", anonymous_id="visitor")
    body = ask(client, anonymousId="visitor", n=1).json()
    assert body["items"][0]["reason"] == "because you viewed A"


def test_nobody_named_gets_what_is_popular(client, shop):
    body = ask(client, n=2).json()
    assert [item["rung"] for item in body["items"]] == ["trending", "trending"]


def test_out_of_stock_is_gone(client, shop):
    change(shop, "b", in_stock=False)
    body = ask(client, n=4).json()
    assert "b" not in [item["id"] for item in body["items"]]


def test_filter_is_json(client, shop):
    rule = json.dumps({"column": "price", "op": "<=", "value": 10})
    body = ask(client, n=4, filter=rule).json()
    assert [item["id"] for item in body["items"]] == ["a"]


def test_neighbours_of_a_product(client, shop):
    body = ask(client, strategy="similar", itemId="a", n=1).json()
    assert (body["items"][0]["id"], body["items"][0]["reason"]) == ("b", "goes with A")


def test_without_a_build_the_answer_is_honest(client):
    make_shop(IDS)
    assert ask(client).json() == {
        "items": [],
        "strategy": "personal",
        "build": None,
        "short": True,
    }


def test_what_was_left_to_chance_says_how_likely_it_was(client, shop):
    make_profile(user_id="ann")
    hint("a", user_id="ann")
    plain = ask(client, userId="ann", n=2).json()["items"]
    first, last = ask(client, userId="ann", n=2, explore=0.5).json()["items"]
    assert first == plain[0]
    assert [one["p"] for one in plain] == [1, 1]
    assert 0 < last["p"] <= 1
    assert last["arm"] in ("list", *last["arms"])
    assert ("list" in last["arms"]) == (last["id"] == plain[1]["id"])


def ask_rows(client, **parameters):
    return client.get("/rows?" + "&".join(f"{k}={v}" for k, v in parameters.items()))


def test_page_of_rows_has_the_promised_shape(client, shop):
    make_profile(user_id="ann")
    hint("a", user_id="ann")
    answer = ask_rows(client, userId="ann", n=1, rows=1)
    assert answer.status_code == 200
    body = answer.json()
    (row,) = body["rows"]
    (item,) = row.pop("items")
    assert row.pop("fit") == pytest.approx(2, abs=1e-3)
    assert row == {
        "kind": "for_you",
        "title": "For you",
        "why": "what fits your last steps: A",
        "evidence": {"items": ["a"]},
    }
    assert item.keys() == ask(client, userId="ann", n=1).json()["items"][0].keys()
    assert (item["id"], item["rank"], item["rung"]) == ("b", 1, "for_you")
    assert body["build"] > 0


def test_nobody_named_gets_rows_of_what_is_popular(client, shop):
    body = ask_rows(client, n=2).json()
    assert [(row["kind"], [item["id"] for item in row["items"]]) for row in body["rows"]] == [
        ("trending", ["a", "b"]),
        ("best_sellers", ["c", "d"]),
    ]


def test_rows_keep_to_the_filter_and_the_stock(client, shop):
    change(shop, "a", in_stock=False)
    rule = json.dumps({"column": "price", "op": ">=", "value": 12})
    body = ask_rows(client, n=2, filter=rule).json()
    assert [[item["id"] for item in row["items"]] for row in body["rows"]] == [["c", "d"]]


@pytest.mark.parametrize(
    ("parameters", "status", "words"),
    [
        ({"n": 51}, 400, "n is 51, expected 1 to 50"),
        ({"rows": 0}, 400, "rows is 0, expected 1 to 20"),
        ({"rows": "all"}, 400, "rows"),
        ({"filter": "{"}, 400, "filter is not JSON"),
        ({"catalog": "nowhere"}, 404, "no catalog named 'nowhere'"),
        ({"userId": "a%00b"}, 400, "userId has a NUL"),
    ],
)
def test_a_page_that_cannot_be_made_gets_a_sentence(client, shop, parameters, status, words):
    answer = ask_rows(client, **parameters)
    assert (answer.status_code, answer.json()["success"]) == (status, False)
    assert words in answer.json()["message"]


@pytest.mark.parametrize(
    ("parameters", "status", "words"),
    [
        ({"n": 0}, 400, "n is 0, expected 1 to 100"),
        ({"n": 101}, 400, "n is 101, expected 1 to 100"),
        ({"n": "many"}, 400, "n"),
        ({"explore": 0.6}, 400, "explore is 0.6, expected 0 to 0.5"),
        ({"explore": "nan"}, 400, "explore is nan"),
        ({"strategy": "magic"}, 400, "'magic' is not known; expected one of personal"),
        ({"filter": "{"}, 400, "filter is not JSON"),
        ({"filter": '{"column":"size","op":"=","value":1}'}, 400, "no column 'size'"),
        ({"filter": HEAVIER}, 400, "a trigger has no column 'weight'"),
        ({"filter": "[1]"}, 400, "filter"),
        ({"filter": "0"}, 400, "filter: expected an object"),
        ({"filter": "[]"}, 400, "filter: expected an object"),
        ({"filter": "[" * 9_000}, 400, "filter is not JSON"),
        ({"catalog": "nowhere"}, 404, "no catalog named 'nowhere'"),
        ({"itemId": "zzz"}, 400, "'zzz' is not a product"),
        ({"userId": "a%00b"}, 400, "userId has a NUL"),
        ({"userId": "x" * 300}, 400, "more than 255"),
    ],
)
def test_bad_input_gets_a_sentence(client, shop, parameters, status, words):
    answer = ask(client, **parameters)
    assert answer.status_code == status
    body = answer.json()
    assert body["success"] is False
    assert words in body["message"]


def test_audience_has_the_promised_shape(client, shop):
    store_history([("ann", "a", VIEW, 1), ("bob", "a", VIEW, 1), ("bob", "b", BUY, 9)])
    body = client.get("/audience?itemId=b&n=1").json()
    score = body["top"][0]["score"]
    assert score > 0
    assert body == {
        "itemId": "b",
        "profiles": 1,
        "bought": 1,
        "thresholds": [
            {"share": part / 10, "score": pytest.approx(score, abs=1e-6), "profiles": 1}
            for part in range(1, 11)
        ],
        "top": [{"id": "ann", "score": score, "because": "a"}],
        "build": body["build"],
    }


@pytest.mark.parametrize(
    ("query", "status", "words"),
    [
        ("", 400, "itemId"),
        ("itemId=zzz", 400, "'zzz' is not a product"),
        ("itemId=a&n=1001", 400, "n is 1001, expected 0 to 1,000"),
        ("itemId=a&n=-1", 400, "n is -1"),
        ("itemId=a%00", 400, "itemId has a NUL"),
        ("itemId=a&catalog=nowhere", 404, "no catalog named 'nowhere'"),
    ],
)
def test_an_audience_that_cannot_be_found_gets_a_sentence(client, shop, query, status, words):
    answer = client.get(f"/audience?{query}")
    assert (answer.status_code, answer.json()["success"]) == (status, False)
    assert words in answer.json()["message"]


def test_router_needs_no_request_state(shop):
    from recommendations.api import get_recommendations

    assert get_recommendations(RequestFactory().get("/"), n=1)["short"] is False


def relative(context, column="category"):
    return json.dumps({"column": column, "op": "=", "value": {"context": context}})


def test_filter_refers_to_the_product_asked_about(client):
    make_shop(IDS, category=["x", "y", "x", "y"])
    publish(log_of([IDS] * 3, IDS), IDS)
    answer = ask(client, itemId="b", filter=relative("trigger.category"))
    assert [item["id"] for item in answer.json()["items"]] == ["d"]


def test_filter_refers_to_the_attributes_of_the_person(client):
    make_shop(IDS, category=["x", "y", "x", "y"])
    publish(log_of([IDS] * 3, IDS), IDS)
    make_profile(user_id="ann", taste="y")
    answer = ask(client, userId="ann", filter=relative("profile.taste"))
    assert {item["id"] for item in answer.json()["items"]} == {"b", "d"}


def test_filter_that_refers_to_nothing_we_know_is_refused(client, shop):
    answer = ask(client, filter=relative("basket.total"))
    assert answer.status_code == 400
    assert "'basket.total' is not known" in answer.json()["message"]


def test_ranking_is_asked_for_as_json(client):
    make_shop(IDS, category=["x", "x", "x", "y"])
    publish(log_of([IDS] * 3, IDS), IDS)
    wishes = {"caps": {"category": 1}, "pins": [{"place": 1, "item": "c"}]}
    items = ask(client, strategy="best_sellers", ranking=json.dumps(wishes)).json()["items"]
    assert [(item["id"], item["rung"]) for item in items] == [
        ("c", "pinned"),
        ("d", "best_sellers"),
    ]


@pytest.mark.parametrize(
    ("ranking", "sentence"),
    [
        ("{", "ranking is not JSON"),
        ('{"variety": NaN}', "ranking is not JSON"),
        ('{"caps": {"\\ud800": 2}}', "ranking is not JSON"),
        ('{"pins": [{"place": 1, "item": "\\ud800"}]}', "ranking is not JSON"),
        ('{"variety": 2}', "variety: expected a number from 0 to 1"),
        ('{"caps": {"brand": 1}}', "caps: the catalog has no column of texts “brand”"),
        ('{"pins": [{"place": 1, "item": "z"}]}', "pins: the catalog has no product “z”"),
        ('{"pins": [{"place": 11, "item": "a"}]}', "pins: place 11 is beyond the 10 that are"),
        ('{"fatigue": {"block_after": 3}}', "fatigue: only messages know what was shown"),
        ("[" * 10_001, "ranking is longer than 10,000 characters"),
    ],
)
def test_ranking_that_cannot_be_meant_is_refused(client, shop, ranking, sentence):
    answer = ask(client, ranking=ranking)
    assert answer.status_code == 400
    assert sentence in answer.json()["message"]


def test_a_catalog_without_products_has_nothing_to_rank(client):
    make_shop([])
    for wish in ('{"variety": 0.5}', '{"caps": {"category": 2}}', '{"pins": []}'):
        answer = ask(client, ranking=wish)
        assert (answer.status_code, answer.json()["items"]) == (200, [])


def test_cart_and_trigger_are_left_out_where_asked(client, shop):
    make_profile(user_id="ann")
    hint("a", "Product Added", user_id="ann")
    hint("b", user_id="ann")

    def found(**more):
        answer = ask(client, userId="ann", strategy="best_sellers", **more)
        return sorted(item["id"] for item in answer.json()["items"])

    assert found() == ["a", "b", "c", "d"]
    assert found(without="cart") == ["b", "c", "d"]
    assert set(found(without="cart,trigger")) <= {"b", "c", "d"}
    assert ask(client, without="basket").status_code == 400


def test_attributes_are_looked_up_for_whom_little_else_is_known(client, shop, monkeypatch):
    """One query for a newcomer, none for who did enough."""
    asked = []
    list_attributes = people.list_attributes
    monkeypatch.setattr(
        people, "list_attributes", lambda ids: asked.append(ids) or list_attributes(ids)
    )
    ann = make_profile(user_id="ann", country="AT")
    ask(client, userId="ann")
    assert asked == [[ann.pk]]
    for item in ("a", "b", "c"):
        hint(item, user_id="ann")
    ask(client, userId="ann")
    ask(client)
    assert asked == [[ann.pk]]
