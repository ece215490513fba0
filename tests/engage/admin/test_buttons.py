"""Uploads, keys, builds, hand-picked lists, suppressions, erasure: asked first, done once."""

import re

import pytest
from django.contrib.auth.models import Permission, User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from catalog.models import Catalog, Product, Upload
from delivery import suppression
from delivery.models import SendRate, Suppression
from engage.collector import access, stream
from engage.collector.models import Quarantined, SdkKey, Source
from engage.profiles.models import Profile
from recommendations import arms, rankers, shelf
from recommendations.models import ArmResult, Build, HandPicked
from tests.engage.admin.rows import make_everything
from tests.factories import NOON, make_catalog, make_profile
from tests.recommendations.logs import train
from tests.recommendations.shops import log_of, make_shop, publish, store_history

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis_keys")]
CSV = "id,name,price\np1,Red mug,4.50\np2,Blue mug,5.00\n"


def url_of(name: str, *args: object) -> str:
    return reverse(f"admin:{name}", args=args)


def text_of(answer) -> str:
    return answer.content.decode()


def file_of(text: str | bytes, *, name: str = "products.csv") -> SimpleUploadedFile:
    return SimpleUploadedFile(name, text.encode() if isinstance(text, str) else text)


def upload(client: Client, text: str | bytes, *, name: str = "products.csv", catalog="default"):
    form = {"file": file_of(text, name=name), "catalog": catalog}
    return client.post(url_of("catalog_upload_add"), form)


# --- uploads --------------------------------------------------------------------------------


def test_file_is_compared_first_and_live_after_apply(admin_client: Client) -> None:
    answer = upload(admin_client, CSV)
    staged = Upload.objects.get()
    assert answer.headers["Location"] == url_of("catalog_upload_change", staged.pk)
    page = text_of(admin_client.get(answer.headers["Location"]))
    assert "p1 Red mug" in page
    assert not Product.objects.exists()
    admin_client.post(url_of("catalog_upload_apply", staged.pk))
    assert set(Product.objects.values_list("item_id", flat=True)) == {"p1", "p2"}


def test_apply_twice_changes_nothing_the_second_time(admin_client: Client) -> None:
    upload(admin_client, CSV)
    staged = Upload.objects.get()
    admin_client.post(url_of("catalog_upload_apply", staged.pk))
    again = admin_client.post(url_of("catalog_upload_apply", staged.pk), follow=True)
    assert "This upload is applied" in text_of(again)
    assert Catalog.objects.get().version == 1


def test_file_that_removes_much_needs_a_tick(admin_client: Client) -> None:
    make_catalog(products=10)
    upload(admin_client, CSV)
    staged = Upload.objects.get()
    assert "8 of 10 products" in text_of(
        admin_client.get(url_of("catalog_upload_apply", staged.pk))
    )
    refused = admin_client.post(url_of("catalog_upload_apply", staged.pk), follow=True)
    assert "Is the file complete?" in text_of(refused)
    assert Product.objects.filter(deleted_at=None).count() == 10
    admin_client.post(url_of("catalog_upload_apply", staged.pk), {"allow_removals": "on"})
    assert Product.objects.filter(deleted_at=None).count() == 2


def test_discarded_file_leaves_the_catalog(admin_client: Client) -> None:
    make_catalog()
    upload(admin_client, CSV)
    staged = Upload.objects.get()
    admin_client.post(url_of("catalog_upload_discard", staged.pk))
    staged.refresh_from_db()
    assert staged.state == "refused"
    again = admin_client.post(url_of("catalog_upload_apply", staged.pk), follow=True)
    assert "This upload is refused" in text_of(again)
    assert not Product.objects.exists()


def test_discarded_first_file_takes_its_catalog_along(admin_client: Client) -> None:
    upload(admin_client, CSV)
    url = url_of("catalog_upload_discard", Upload.objects.get().pk)
    assert "products.csv is discarded" in text_of(admin_client.post(url, follow=True))
    assert not Catalog.objects.exists()


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (b"", "products.csv"),
        (b"\x00\xff\xfe" * 50, "products.csv"),
        (b"name,price\nx,1\n", "products.csv"),
        (b"id,name\np1,x\n", "products.exe"),
        (b"\x1f\x8bbroken", "products.csv.gz"),
        (b"id,id\n1,2\n", "products.csv"),
        (b"[1, 2", "products.jsonl"),
    ],
)
def test_unusable_file_gets_a_sentence(admin_client: Client, content: bytes, name: str) -> None:
    answer = upload(admin_client, content, name=name)
    assert answer.status_code in {200, 302}
    if answer.status_code == 200:
        assert "errors" in text_of(answer)
    assert not Product.objects.exists()


def test_upload_without_file_or_with_an_odd_name_is_refused(admin_client: Client) -> None:
    assert "This field is required." in text_of(
        admin_client.post(url_of("catalog_upload_add"), {"catalog": "default"})
    )
    assert "Use a-z, 0-9, - and _ only." in text_of(upload(admin_client, CSV, catalog="Ä b"))
    assert not Catalog.objects.exists()


def test_product_taken_out_of_stock_is_out_for_every_process(admin_client: Client) -> None:
    catalog = make_catalog(products=2)
    product = catalog.products.get(item_id="p1")
    admin_client.get(url_of("catalog_product_take_out", product.pk))
    assert Product.objects.filter(in_stock=True).count() == 2
    admin_client.post(url_of("catalog_product_take_out", product.pk))
    catalog.refresh_from_db()
    product.refresh_from_db()
    assert (product.in_stock, catalog.version) == (False, 2)
    admin_client.post(url_of("catalog_product_bring_back", product.pk))
    assert Product.objects.filter(in_stock=True).count() == 2


# --- keys -----------------------------------------------------------------------------------


def test_key_is_shown_once_and_works(admin_client: Client) -> None:
    form = {"source": "Shop app", "kind": "server"}
    answer = admin_client.post(url_of("collector_sdkkey_add"), form)
    key = text_of(answer).split('id="new-key">')[1].split("<")[0]
    assert "no-store" in answer.headers["Cache-Control"]
    assert access.find_key(key).kind == "server"
    row = SdkKey.objects.get()
    for name in ("changelist", "change"):
        args = [row.pk] if name == "change" else []
        assert key not in text_of(admin_client.get(url_of(f"collector_sdkkey_{name}", *args)))


def test_second_key_of_a_source_keeps_the_first(admin_client: Client) -> None:
    for name in ("Shop app", "shop APP"):
        admin_client.post(url_of("collector_sdkkey_add"), {"source": name, "kind": "write"})
    assert Source.objects.get().keys.count() == 2


def test_revoked_key_opens_nothing(admin_client: Client) -> None:
    key = access.create_key("Shop app", kind="write")
    row = SdkKey.objects.get()
    assert admin_client.get(url_of("collector_sdkkey_revoke", row.pk)).status_code == 200
    assert access.find_key(key) is not None
    admin_client.post(url_of("collector_sdkkey_revoke", row.pk))
    assert access.find_key(key) is None


def test_wrong_key_form_makes_no_key(admin_client: Client) -> None:
    for form in ({"source": "", "kind": "write"}, {"source": "a", "kind": "master"}, {}):
        assert admin_client.post(url_of("collector_sdkkey_add"), form).status_code == 200
    assert not SdkKey.objects.exists()


def test_quarantined_event_is_put_into_the_queue_again(admin_client: Client) -> None:
    row = Quarantined.objects.create(
        entry_id="1-0",
        source_id=1,
        received_at=NOON,
        form="segment/batch",
        body=b"{}",
        error="broken",
    )
    admin_client.get(url_of("collector_quarantined_replay", row.pk))
    assert stream.health()["depth"] == 0
    admin_client.post(url_of("collector_quarantined_replay", row.pk))
    assert stream.health()["depth"] == 1


# --- builds and hand-picked lists -----------------------------------------------------------


def test_build_button_rings_for_the_catalog(admin_client: Client, builds_asked) -> None:
    make_catalog()
    url = url_of("recommendations_build_build_now")
    assert admin_client.get(url).status_code == 200
    assert builds_asked == []
    admin_client.post(url, {"catalog": "default"})
    assert builds_asked == ["default"]
    assert "Select a valid choice" in text_of(admin_client.post(url, {"catalog": "other"}))


@pytest.fixture
def builds_asked(monkeypatch) -> list[str]:
    """The catalogs that builds were asked for; no broker takes part."""
    asked: list[str] = []
    monkeypatch.setattr("recommendations.tasks.build.delay_on_commit", asked.append)
    return asked


@pytest.fixture
def mug_wanted(settings, tmp_path):
    """Ann, because she viewed what is bought with the mug."""
    settings.DATA_DIR = tmp_path
    shelf.forget()
    make_shop(["cup", "mug"])
    publish(log_of([["cup", "mug"]] * 3, ["cup", "mug"]), ["cup", "mug"])
    store_history([("ann", "cup", "Product Viewed", 1)])
    yield
    shelf.forget()


def test_who_wants_a_product_is_answered_with_names(admin_client: Client, mug_wanted) -> None:
    url = url_of("recommendations_build_who_wants")
    assert "The keenest" not in text_of(admin_client.get(url))
    page = text_of(admin_client.get(url, {"catalog": "default", "item": "mug"}))
    assert re.search(r'id="audience-count">1<', page)
    assert re.search(r">ann</a></td>.*>cup</td>", page)
    wrong = text_of(admin_client.get(url, {"catalog": "default", "item": "plate"}))
    assert "is not a product of catalog" in wrong
    assert "Select a valid choice" in text_of(admin_client.get(url, {"catalog": "x", "item": "a"}))


def test_who_may_not_see_profiles_gets_figures_only(client: Client, mug_wanted) -> None:
    person = User.objects.create_user("clerk", is_staff=True)
    url = url_of("recommendations_build_who_wants")
    client.force_login(person)
    assert client.get(url).status_code == 403
    person.user_permissions.add(Permission.objects.get(codename="view_build"))
    page = text_of(client.get(url, {"catalog": "default", "item": "mug"}))
    assert re.search(r'id="audience-count">1<', page)
    assert "You may not see who they are." in page
    assert ">ann<" not in page


def test_roll_back_without_an_earlier_build_says_so(admin_client: Client) -> None:
    build = Build.objects.create(catalog="default", state="live")
    answer = admin_client.post(url_of("recommendations_build_roll_back", build.pk), follow=True)
    assert answer.status_code == 200
    build.refresh_from_db()
    assert build.state == "live"


def test_hand_picked_list_knows_its_products(admin_client: Client) -> None:
    make_catalog(products=2)
    url = url_of("recommendations_handpicked_add")
    form = {"catalog": "default", "name": "gifts"}
    wrong = admin_client.post(url, form | {"item_ids": "p1\np9"})
    assert "The catalog has no product “p9”." in text_of(wrong)
    assert not HandPicked.objects.exists()
    admin_client.post(url, form | {"item_ids": "p2\np1"})
    assert HandPicked.objects.get().item_ids == ["p2", "p1"]


# --- send rates -----------------------------------------------------------------------------


def test_each_provider_of_push_gets_a_rate_beside_the_one_of_the_channel(
    admin_client: Client,
) -> None:
    url = url_of("delivery_sendrate_add")
    for scope, per_minute in [("push", 600), ("fcm", 60), ("apns", 300)]:
        answer = admin_client.post(url, {"scope": scope, "per_minute": per_minute})
        assert answer.status_code == 302
    listed = text_of(admin_client.get(url_of("delivery_sendrate_changelist")))
    assert "Push: FCM (Android)" in listed
    assert "Push: APNs (iOS)" in listed
    assert dict(SendRate.objects.values_list("scope", "per_minute")) == {
        "push": 600,
        "fcm": 60,
        "apns": 300,
    }
    admin_client.post(url, {"scope": "gcm", "per_minute": 60})
    assert SendRate.objects.count() == 3


# --- suppressions and people ----------------------------------------------------------------


def test_suppressed_address_is_kept_as_a_digest_and_found_again(admin_client: Client) -> None:
    url = url_of("delivery_suppression_add")
    answer = admin_client.post(url, {"channel": "email", "address": "Ada@Mail.example"})
    assert answer.status_code == 302
    assert suppression.is_suppressed("ada@mail.example", channel="email")
    listed = url_of("delivery_suppression_changelist")
    found = admin_client.get(listed, {"q": "ada@mail.example"})
    assert len(found.context["cl"].result_list) == 1
    assert len(admin_client.get(listed, {"q": "eve@mail.example"}).context["cl"].result_list) == 0
    again = admin_client.post(url, {"channel": "email", "address": "ada@mail.example"})
    assert "on the list already" in text_of(again)
    assert Suppression.objects.count() == 1


def test_unsubscribed_address_can_be_blocked_for_good(admin_client: Client) -> None:
    suppression.suppress("ada@mail.example", channel="email", reason="unsubscribed")
    form = {"channel": "email", "address": "Ada@mail.example", "source": "ticket 4"}
    answer = admin_client.post(url_of("delivery_suppression_add"), form)
    assert answer.status_code == 302
    row = Suppression.objects.get()
    assert (row.reason, row.source) == ("manual", "ticket 4")


@pytest.mark.parametrize("address", ["", "nobody", "two words@x", "a\x00@b.example", "x" * 3000])
def test_wrong_address_is_not_suppressed(admin_client: Client, address: str) -> None:
    form = {"channel": "email", "address": address}
    assert admin_client.post(url_of("delivery_suppression_add"), form).status_code == 200
    assert not Suppression.objects.exists()


def test_erasing_asks_first_and_is_done_once(admin_client: Client) -> None:
    profile = make_everything()
    url = url_of("profiles_profile_erase", profile.pk)
    assert admin_client.get(url).status_code == 200
    assert Profile.objects.filter(pk=profile.pk).exists()
    admin_client.post(url)
    assert not Profile.objects.filter(pk=profile.pk, attributes__has_key="email").exists()
    assert admin_client.post(url).status_code in {302, 404}


def test_page_of_a_person_says_what_they_would_get_and_why(admin_client: Client) -> None:
    profile = make_everything()
    text = text_of(admin_client.get(url_of("profiles_profile_change", profile.pk)))
    for part in ("ada@mail.example", "anon-1", "opted in", "Weekly", "Picked by hand"):
        assert part in text


def test_person_is_found_by_each_of_their_names(admin_client: Client) -> None:
    profile = make_profile(user_id="ada", anonymous_id="anon-1", email="Ada@mail.example")
    make_profile(user_id="bob")
    for term in ("ada", "anon-1", "ada@MAIL.example", str(profile.pk), f"#{profile.pk}", "ada@m"):
        found = admin_client.get(url_of("profiles_profile_changelist"), {"q": term})
        assert [row.pk for row in found.context["cl"].result_list] == [profile.pk], term


def test_explored_sources_say_what_was_clicked_and_what_they_get(admin_client: Client) -> None:
    arms.write_counts({"default": {"cold": (2_000, 100), "trend": (2_000, 10)}}, now=NOON)
    page = text_of(admin_client.get(url_of("recommendations_armresult_changelist")))
    rates = re.findall(r"field-(rate|played) [^>]*>([\d.]+)", page)
    found = [float(value) for name, value in rates if name == "rate"]
    played = [float(value) for name, value in rates if name == "played"]
    assert found == [5.0, 0.5]
    assert played[0] > 50
    assert played[1] == 2.0
    row = ArmResult.objects.get(arm="cold")
    change = admin_client.get(url_of("recommendations_armresult_change", row.pk))
    assert 'type="submit" name="_save"' not in text_of(change)


def test_ranker_is_switched_off_and_used_again(admin_client: Client, settings, tmp_path) -> None:
    settings.DATA_DIR = tmp_path
    row = train()
    page = text_of(admin_client.get(url_of("recommendations_ranker_change", row.pk)))
    assert "switch_off" in page
    assert "price" in page
    off, use = (url_of(f"recommendations_ranker_{name}", row.pk) for name in ("switch_off", "use"))
    assert admin_client.get(off).status_code == 200
    assert rankers.live("default") is not None
    admin_client.post(off)
    assert rankers.live("default") is None
    admin_client.post(use)
    assert rankers.live("default") is not None
    rankers.forget()
