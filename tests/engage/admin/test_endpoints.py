"""Endpoints of webhooks: what is refused, who sees a secret, what the buttons do."""

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.test import Client
from django.urls import reverse
from django.utils.html import escape

from campaigns.models import Campaign
from delivery import endpoints
from delivery.models import Message, WebhookEndpoint
from engage.lib import clock
from tests.factories import make_campaign, make_message, make_profile

pytestmark = pytest.mark.django_db


@pytest.fixture
def endpoint() -> WebhookEndpoint:
    return WebhookEndpoint.objects.create(name="orders", url="https://hooks.shop.example/orders")


def url_of(name: str, *args: object) -> str:
    return reverse(f"admin:delivery_webhookendpoint_{name}", args=args)


def secret_of(endpoint: WebhookEndpoint) -> str:
    return endpoints.list_secrets(endpoint, now=clock.now())[0]


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://shop.example/", "only https is allowed"),
        ("https://169.254.169.254/latest", "this address is not a public one"),
        ("https://ann@shop.example/", "expected https://host/path"),
        ("https://shop.example:22/", "port 22 is not allowed"),
    ],
)
def test_a_url_that_leads_inside_is_refused_beside_its_field(admin_client: Client, url, said):
    page = admin_client.post(url_of("add"), {"name": "orders", "url": url}).content.decode()
    assert said in page
    assert not WebhookEndpoint.objects.exists()


def test_a_plain_url_is_kept(admin_client: Client) -> None:
    url = "https://hooks.shop.example/orders?shop=1"
    admin_client.post(url_of("add"), {"name": "orders", "url": url})
    assert WebhookEndpoint.objects.get().url == url


def test_the_secret_is_shown_to_who_may_see_it_and_on_its_page_only(
    admin_client: Client, endpoint
) -> None:
    secret = escape(secret_of(endpoint))
    answer = admin_client.get(url_of("secret", endpoint.pk))
    assert secret in answer.content.decode()
    assert "no-store" in answer.headers["Cache-Control"]
    for page in (url_of("changelist"), url_of("change", endpoint.pk)):
        assert secret not in admin_client.get(page).content.decode()


def test_a_marketer_sees_endpoints_and_no_secret(client: Client, endpoint) -> None:
    person = User.objects.create_user("maria", is_staff=True)
    person.groups.add(Group.objects.get(name="Marketer"))
    client.force_login(person)
    assert client.get(url_of("changelist")).status_code == 200
    assert client.get(url_of("secret", endpoint.pk)).status_code == 403
    assert client.post(url_of("rotate", endpoint.pk)).status_code == 403
    endpoint.refresh_from_db()
    assert endpoint.version == 1
    person.user_permissions.add(Permission.objects.get(codename="view_secret"))
    assert secret_of(endpoint) in client.get(url_of("secret", endpoint.pk)).content.decode()


def test_rotating_asks_first_and_makes_a_new_secret(admin_client: Client, endpoint) -> None:
    old = secret_of(endpoint)
    admin_client.get(url_of("rotate", endpoint.pk))
    assert secret_of(WebhookEndpoint.objects.get()) == old
    admin_client.post(url_of("rotate", endpoint.pk))
    rotated = WebhookEndpoint.objects.get()
    assert endpoints.list_secrets(rotated, now=clock.now())[1:] == [old]
    assert (
        "A former secret signs" in admin_client.get(url_of("secret", rotated.pk)).content.decode()
    )


def test_disabling_and_enabling_is_written_down(admin_client: Client, endpoint) -> None:
    admin_client.post(url_of("disable", endpoint.pk))
    endpoint.refresh_from_db()
    assert (endpoint.disabled_at is not None, endpoint.reason) == (True, "by hand")
    assert "disabled: by hand" in admin_client.get(url_of("changelist")).content.decode()
    admin_client.post(url_of("enable", endpoint.pk))
    endpoint.refresh_from_db()
    assert (endpoint.disabled_at, endpoint.reason) == (None, "")


def test_failed_messages_are_sent_again_after_a_question_that_says_how_many(
    admin_client: Client, endpoint
) -> None:
    campaign = make_campaign(channel="webhook", endpoint=endpoint)
    for reason in ("unavailable", "unavailable", "http_404", "payload_too_large"):
        make_failed(campaign, reason)
    other = make_failed(make_campaign(channel="webhook"), "unavailable")
    page = admin_client.get(url_of("resend", endpoint.pk)).content.decode()
    assert "failed: unavailable" in page
    assert "failed: http_404" in page
    assert "payload_too_large" not in page
    assert not Message.objects.filter(state="planned").exists()
    answer = admin_client.post(url_of("resend", endpoint.pk), follow=True)
    assert "3 messages to “orders” are on their way again." in answer.content.decode()
    assert Message.objects.filter(state="planned", campaign_id=campaign.pk).count() == 3
    other.refresh_from_db()
    assert other.state == "failed"
    answer = admin_client.post(url_of("resend", endpoint.pk), follow=True)
    assert "There was nothing to send again." in answer.content.decode()


def test_nothing_is_sent_again_to_a_disabled_endpoint_or_by_who_may_not(
    admin_client: Client, client: Client, endpoint
) -> None:
    button = url_of("resend", endpoint.pk)
    make_failed(make_campaign(channel="webhook", endpoint=endpoint), "unavailable")
    assert button in admin_client.get(url_of("change", endpoint.pk)).content.decode()
    endpoints.disable(endpoint, reason=endpoints.AWAY, now=clock.now())
    assert button not in admin_client.get(url_of("change", endpoint.pk)).content.decode()
    answer = admin_client.post(button, follow=True)
    assert "“orders” is disabled: enable it first." in answer.content.decode()
    endpoints.enable(endpoint)
    person = User.objects.create_user("maria", is_staff=True)
    person.groups.add(Group.objects.get(name="Marketer"))
    client.force_login(person)
    assert client.post(button).status_code == 403
    assert Message.objects.get().state == "failed"


def test_the_first_page_says_which_endpoints_nobody_disabled_by_hand(
    admin_client: Client, endpoint
) -> None:
    words = "1 webhook endpoint disabled"
    for reason, shown in ((endpoints.BY_HAND, False), (endpoints.AWAY, True)):
        endpoints.disable(endpoint, reason=reason, now=clock.now())
        assert (words in admin_client.get(reverse("admin:index")).content.decode()) is shown
        endpoints.enable(endpoint)


def make_failed(campaign: Campaign, reason: str) -> Message:
    now = clock.now()
    return make_message(
        profile=make_profile(), now=now, channel="webhook", campaign_id=campaign.pk,
        state="failed", reason=reason, attempt=10, finished_at=now,
    )  # fmt: skip
