"""From a mail by an e-mail service to its bounce, which the service tells us, over real TLS."""

import base64
import json

import pytest
from django.test import Client

from delivery import links, reports
from delivery.channels import registry
from delivery.dispatch import dispatch
from delivery.models import Message, Receipt
from engage.profiles.models import Profile
from tests.delivery.sending import email_content, make_draft
from tests.factories import NOON, make_message, make_profile
from tests.providers.esp import TOKEN, EspProvider, hooks

pytestmark = pytest.mark.django_db(transaction=True)
PASSWORD = "hooks:a-long-password-of-ours"


@pytest.fixture
def service(tmp_path, settings):
    service = EspProvider(tmp_path / "esp.jsonl", folder=tmp_path)
    with service.running():
        settings.EMAIL_ESP, settings.ESP_KEY, settings.ESP_URL = "postmark", TOKEN, service.url
        settings.CA_FILE = str(service.ca_file)
        settings.ANYMAIL_WEBHOOK_SECRET = [PASSWORD]
        settings.CHANNELS = settings.CHANNELS | {"email": "delivery.channels.esp.EspChannel"}
        registry.forget_channels()
        yield service
        registry.forget_channels()


def send(address: str, run_id: int):
    def compose(messages):
        return [
            make_draft(
                message,
                address=address,
                content=email_content(unsubscribe_url=links.unsubscribe_url(message)),
            )
            for message in messages
        ]

    return dispatch(channel="email", compose=compose, limit=10, now=NOON, run_id=run_id)


def test_a_bounce_closes_the_address_that_the_mail_went_to(service, redis_keys):
    person = make_profile(user_id="ann", email="old@shop.example", opted_in=("email",))
    make_message(profile=person, run_id=1)
    assert send("old@shop.example", 1).states == {"accepted": 1}
    [mail] = service.seen
    assert mail["MessageID"] == Message.objects.get().provider_id
    Profile.objects.filter(pk=person.pk).update(attributes={"email": "new@shop.example"})
    password = base64.b64encode(PASSWORD.encode()).decode()
    for said in (hooks(mail)["bounced"], hooks(mail)["delivered"], hooks(mail)["bounced"]):
        answer = Client().post(
            "/hooks/postmark/",
            json.dumps(said),
            content_type="application/json",
            headers={"Authorization": f"Basic {password}"},
        )
        assert answer.status_code == 200
    assert Receipt.objects.count() == 2
    assert reports.run_figures(1)["receipts"]["bounced"] == 1
    make_message(profile=person, run_id=2)
    assert send("old@shop.example", 2).reasons == {"address_suppressed": 1}
    make_message(profile=person, run_id=3)
    assert send("new@shop.example", 3).states == {"accepted": 1}


def test_the_one_click_header_of_a_mail_ends_mail_before_the_next_mark(service, redis_keys):
    person = make_profile(user_id="ann", email="ann@shop.example", opted_in=("email",))
    make_message(profile=person, run_id=1, kind="test")
    send("ann@shop.example", 1)
    [mail] = service.seen
    headers = {one["Name"]: one["Value"] for one in mail["Headers"]}
    path = "/" + headers["List-Unsubscribe"].strip("<>").split("/", 3)[3]
    name, value = headers["List-Unsubscribe-Post"].split("=")
    make_message(profile=person, run_id=2)
    assert Client(enforce_csrf_checks=True).post(path, {name: value}).status_code == 200
    assert send("ann@shop.example", 2).reasons == {"no_consent": 1}
    assert len(service.seen) == 1
