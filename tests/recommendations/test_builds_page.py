import json
from datetime import timedelta

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.urls import reverse

from catalog.models import Product
from engage.roles import MARKETER
from recommendations import builds_page
from recommendations.models import Build
from tests.factories import NOON, make_catalog
from tests.recommendations.shops import log_of, make_shop, publish

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis_keys")]
DATA = {
    "interactions": 300,
    "profiles_with_two": 120,
    "first_ms": 0,
    "last_ms": 20 * builds_page.DAY_MS,
}


def make_build(state="replaced", *, catalog="default", day=0, ndcg=0.2, **quality):
    figures = {"profiles": 80, "ndcg@10": ndcg, "coverage@20": 0.5, "novelty": 9.87654}
    return Build.objects.create(
        catalog=catalog,
        state=state,
        started_at=NOON + timedelta(days=day),
        quality=figures | quality,
        data=DATA,
        reason="Its NDCG@10 is worse." if state == "refused" else "",
    )


def page_of(client, query=""):
    url = reverse("admin:recommendations_build_changelist")
    answer = client.get(url + query)
    assert answer.status_code == 200
    return answer


def plots(found):
    return {plot["title"]: json.loads(plot["data"]) for plot in found["plots"]}


def test_one_point_per_build_and_the_refused_ones_are_crosses():
    first, second = make_build(), make_build("refused", day=1, ndcg=0.1, **{"live_ndcg@10": 0.21})
    make_build("live", day=2, ndcg=0.22)
    Build.objects.create(catalog="default", state="failed", reason="no room")
    found = builds_page.describe("default")
    assert (found["measured"], found["refused"]) == (3, 1)
    accuracy = plots(found)["Accuracy"]
    own, rival = accuracy["datasets"]
    assert accuracy["labels"][:2] == [f"#{first.pk}, 02 Nov", f"#{second.pk}, 03 Nov"]
    assert own["data"] == [0.2, 0.1, 0.22]
    assert own["pointStyle"] == ["circle", "crossRot", "circle"]
    assert rival["data"] == [None, 0.21, None]
    assert plots(found)["Coverage"]["datasets"][0]["data"] == [50, 50, 50]
    assert found["plots"][2]["now"] == "9.877"


def test_shares_of_sources_are_stacked_and_may_be_missing():
    make_build()
    make_build(day=1, sources={"next": 0.75, "similar_flat": 0.25})
    make_build("live", day=2, sources={"next": 1.0})
    found = builds_page.describe("default")
    assert [source["name"] for source in found["sources"]] == ["next", "similar flat"]
    stacked = json.loads(found["sources_data"])
    assert [one["data"] for one in stacked["datasets"]] == [[None, 75, 100], [None, 25, 0]]


def test_only_the_newest_thirty_builds_are_drawn():
    for day in range(32):
        make_build(day=day, ndcg=day / 100)
    drawn = plots(builds_page.describe("default"))["Accuracy"]["datasets"][0]["data"]
    assert (len(drawn), drawn[0], drawn[-1]) == (30, 0.02, 0.31)


def test_meter_counts_what_the_newest_build_read_and_what_was_shown(settings):
    settings.SHOWN_COUNTER = f"{__name__}.shown"
    shop = make_catalog()
    for n, name in enumerate(["Red tea of Assam", "Tea", "Green tea", "Black"]):
        Product.objects.create(catalog=shop, item_id=str(n), name=name, extra={"size": n})
    Product.objects.filter(item_id="1").update(extra={"colour": "dark red"})
    make_build("live")
    assert builds_page.facts_of("default") == {
        "interactions": 300,
        "profiles_with_two": 120,
        "days": 20.0,
        "asked": 80,
        "described_percent": 50.0,
        "impressions": 70,
        "clicks": 8,
    }


def shown():
    return 70, 8


def test_meter_stands_before_the_first_build_and_without_products():
    assert builds_page.describe(None) == {"catalogs": [], "catalog": ""}
    Build.objects.create(catalog="default", state="failed")
    found = builds_page.describe("default")
    assert found["advice"].startswith("Worth using now: picked by hand. Next: found by descr")


def test_page_shows_the_catalog_that_is_asked_for(admin_client):
    make_build("live", catalog="books")
    make_build("live", catalog="default")
    assert page_of(admin_client).context["page"]["catalog"] == "default"
    assert page_of(admin_client, "?catalog=books").context["page"]["catalog"] == "books"
    assert page_of(admin_client, "?catalog=nowhere").context["page"]["catalog"] == "default"


def test_page_stands_without_any_build(admin_client):
    assert 'id="plots"' not in page_of(admin_client).content.decode()


def test_page_shows_what_a_source_is_called_as_text(admin_client):
    make_build("live", sources={"<script>x</script>": 1.0})
    assert "<script>x" not in page_of(admin_client).content.decode()


def test_live_build_is_rolled_back_from_the_page(client):
    ids = ["a", "b", "c"]
    make_shop(ids)
    first, second = (
        publish(log_of([["a", "b"]], ids), ids),
        publish(log_of([["a", "c"]], ids), ids),
    )
    Build.objects.update(quality={"ndcg@10": 0.5})
    person = User.objects.create_user("maria", is_staff=True)
    person.groups.add(Group.objects.get(name=MARKETER))
    client.force_login(person)
    text = page_of(client).content.decode()
    url = text.split('">Roll back…</a>')[0].rsplit('href="', 1)[1]
    assert "Serve the build before it" in client.get(url).content.decode()
    assert Build.objects.get(pk=second.pk).state == "live"
    client.post(url)
    assert Build.objects.get(pk=first.pk).state == "live"
    assert Build.objects.get(pk=second.pk).reason == f"Rolled back to build {first.pk}."


def test_who_may_only_look_is_offered_no_way_back(client):
    make_build("live")
    guest = User.objects.create_user("guest", is_staff=True)
    guest.user_permissions.add(Permission.objects.get(codename="view_build"))
    client.force_login(guest)
    text = page_of(client).content.decode()
    assert 'id="plots"' in text
    assert "Roll back…" not in text
