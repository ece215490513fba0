import hashlib
import zlib
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from django.db import connection

from delivery.channels.apns import ApnsChannel
from delivery.channels.esp import EspChannel
from delivery.channels.fcm import FcmChannel
from delivery.channels.inbox import InboxChannel
from delivery.channels.push import PushChannel
from delivery.channels.sms import SmsChannel
from delivery.channels.smtp import SmtpChannel
from delivery.channels.web_push import WebPushChannel
from delivery.channels.webhook import WebhookChannel
from tests.delivery.channels.setting import InboxSetting, Setting
from tests.delivery.sending import (
    SECRET,
    email_content,
    inbox_content,
    push_content,
    sms_content,
    webhook_content,
)
from tests.providers import esp as esp_provider
from tests.providers import sms as sms_provider
from tests.providers.apns import Apns
from tests.providers.certificates import write_key
from tests.providers.fcm import Fcm
from tests.providers.inbox import InboxDatabase
from tests.providers.smtp import SmtpSink
from tests.providers.web_push import WebPush
from tests.providers.webhook import Receiver


@pytest.fixture
def sink(tmp_path, settings):
    """A mail server, and settings that point at it."""
    sink = SmtpSink(tmp_path / "mail.jsonl")
    with sink.running():
        settings.SMTP_URL = f"smtp://127.0.0.1:{sink.port}"
        yield sink


@pytest.fixture
def mail(sink):
    channel = SmtpChannel()
    yield channel
    channel.close()


@pytest.fixture
def over_smtp(mail, sink, settings):
    def elsewhere(port):
        settings.SMTP_URL = f"smtp://127.0.0.1:{port}"
        return SmtpChannel()

    return Setting(
        channel=mail,
        provider=sink,
        address=lambda name: f"{name}@shop.example",
        content=lambda key: email_content(),
        too_large=email_content(html="x" * 10_000_000),
        match=lambda name: f"{name}@",
        make_elsewhere=elsewhere,
        gone="rcpt:550 5.1.1 unknown",
        later="rcpt:451 4.7.1 later",
        malformed="garbage",
        endless="",
        chatty="rcpt:550 5.1.1 <ann@shop.example> unknown",
    )


@pytest.fixture
def service(tmp_path, settings):
    """An e-mail service, and settings that point at it."""
    service = esp_provider.EspProvider(tmp_path / "esp.jsonl", folder=tmp_path)
    with service.running():
        settings.EMAIL_ESP, settings.ESP_KEY = "postmark", esp_provider.TOKEN
        settings.ESP_URL = service.url
        settings.CA_FILE = str(service.ca_file)
        yield service


@pytest.fixture
def esp(service):
    channel = EspChannel()
    yield channel
    channel.close()


@pytest.fixture
def over_esp(esp, service, settings):
    def elsewhere(port):
        settings.ESP_URL = f"https://localhost:{port}/"
        return EspChannel()

    return Setting(
        channel=esp,
        provider=service,
        address=lambda name: f"{name}@shop.example",
        content=lambda key: email_content(),
        too_large=email_content(html="x" * 10_000_000),
        match=lambda name: f"{name}@",
        make_elsewhere=elsewhere,
        gone="406",
        later="unavailable",
    )


@pytest.fixture
def fcm(tmp_path, settings):
    """A push provider, and settings that point at it."""
    fcm = Fcm(tmp_path / "push.jsonl", folder=tmp_path)
    with fcm.running():
        settings.FCM_URL = fcm.url
        settings.FCM_CREDENTIALS_FILE = str(fcm.credentials_file)
        settings.CA_FILE = str(fcm.ca_file)
        yield fcm


@pytest.fixture
def push(fcm):
    channel = FcmChannel()
    yield channel
    channel.door.close()


@pytest.fixture
def over_fcm(push, fcm, settings):
    def elsewhere(port):
        settings.FCM_URL = f"https://localhost:{port}"
        return FcmChannel()

    return Setting(
        channel=push,
        provider=fcm,
        address=lambda name: f"token-of-{name}",
        content=lambda key: push_content(),
        too_large=push_content(body="x" * 4_096),
        match=lambda name: f"token-of-{name}",
        make_elsewhere=elsewhere,
        gone="unregistered",
        later="unavailable",
    )


def apple_token(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


@pytest.fixture
def apns(tmp_path, settings):
    """Apple's push provider, and settings that point at it."""
    folder = tmp_path / "apns"
    folder.mkdir()
    apns = Apns(tmp_path / "apple.jsonl", folder=folder)
    with apns.running():
        settings.APNS_URL = apns.url
        settings.APNS_KEY_FILE = str(apns.key_file)
        settings.APNS_KEY_ID, settings.APNS_TEAM_ID = apns.key_id, apns.team_id
        settings.APNS_TOPIC = apns.topic
        settings.CA_FILE = str(apns.ca_file)
        yield apns


@pytest.fixture
def apple(apns):
    channel = ApnsChannel()
    yield channel
    channel.door.close()


@pytest.fixture
def over_apns(apple, apns, settings):
    def elsewhere(port):
        settings.APNS_URL = f"https://localhost:{port}"
        return ApnsChannel()

    return Setting(
        channel=apple,
        provider=apns,
        address=apple_token,
        content=lambda key: push_content(),
        too_large=push_content(body="x" * 4_096),
        match=apple_token,
        make_elsewhere=elsewhere,
        gone="Unregistered",
        later="ServiceUnavailable",
    )


@pytest.fixture
def texter(tmp_path, settings):
    """An SMS provider, and settings that point at it."""
    texter = sms_provider.SmsProvider(tmp_path / "sms.jsonl", folder=tmp_path)
    with texter.running():
        settings.SMS_URL = texter.url
        settings.SMS_ACCOUNT, settings.SMS_TOKEN = sms_provider.ACCOUNT, sms_provider.TOKEN
        settings.SMS_FROM = sms_provider.SENDER
        settings.CA_FILE = str(texter.ca_file)
        yield texter


@pytest.fixture
def sms(texter):
    channel = SmsChannel()
    yield channel
    channel.close()


def number(name: str) -> str:
    return f"+1555{zlib.crc32(name.encode()):010d}"


@pytest.fixture
def over_sms(sms, texter, settings):
    def elsewhere(port):
        settings.SMS_URL = f"https://localhost:{port}"
        return SmsChannel()

    return Setting(
        channel=sms,
        provider=texter,
        address=number,
        content=lambda key: sms_content(status_url=f"https://shop.example/hooks/sms/{key}"),
        too_large=sms_content(text="x" * 1_601),
        too_large_reason="text_too_long",
        match=number,
        make_elsewhere=elsewhere,
        gone="21610",
        later="unavailable",
    )


@pytest.fixture
def receiver(tmp_path, settings):
    """A receiver of webhooks on this machine, and the setting that allows it."""
    receiver = Receiver(tmp_path / "webhooks.jsonl", folder=tmp_path, secrets=[SECRET])
    with receiver.running():
        settings.PRIVATE_HOSTS = [("localhost", receiver.port)]
        settings.CA_FILE = str(receiver.ca_file)
        yield receiver


@pytest.fixture
def hook(receiver):
    channel = WebhookChannel()
    yield channel
    channel.close()


@pytest.fixture
def over_webhook(hook, receiver, settings):
    ports = []

    def elsewhere(port):
        settings.PRIVATE_HOSTS = [("localhost", port)]
        ports.append(port)
        return WebhookChannel()

    return Setting(
        channel=hook,
        provider=receiver,
        address=lambda name: f"{receiver.url}/of/{name}",
        address_elsewhere=lambda name: f"https://localhost:{ports[0]}/of/{name}",
        content=lambda key: webhook_content(),
        too_large=webhook_content(body=b"x" * 65_537),
        match=lambda name: f"/of/{name}",
        make_elsewhere=elsewhere,
        gone="410",
        later="503",
        malformed="",
        is_one_provider=False,
    )


@pytest.fixture
def vapid(tmp_path, settings):
    """Our key; its file."""
    path = tmp_path / "vapid.pem"
    write_key(path, ec.generate_private_key(ec.SECP256R1()))
    settings.VAPID_KEY_FILE, settings.VAPID_SUBJECT = str(path), "mailto:push@shop.example"
    return path


@pytest.fixture
def browsers(tmp_path, vapid, settings):
    """A push service with its browsers, and settings that let us reach it."""
    folder = tmp_path / "browsers"
    folder.mkdir()
    browsers = WebPush(tmp_path / "web.jsonl", folder=folder)
    with browsers.running():
        settings.CA_FILE = str(browsers.ca_file)
        settings.PRIVATE_HOSTS = {("localhost", browsers.port)}
        yield browsers


@pytest.fixture
def web(browsers):
    channel = WebPushChannel()
    yield channel
    channel.door.close()


@pytest.fixture
def over_web_push(web, browsers, settings):
    elsewhere = []

    def make_elsewhere(port):
        settings.PRIVATE_HOSTS = {("localhost", port)}
        elsewhere.append(f"localhost:{port}")
        return WebPushChannel()

    return Setting(
        channel=web,
        provider=browsers,
        address=browsers.subscribe,
        address_elsewhere=lambda name: browsers.subscribe(name).replace(
            f"localhost:{browsers.port}", elsewhere[0]
        ),
        content=lambda key: push_content(),
        too_large=push_content(body="x" * 4_096),
        match=lambda name: f"/push/{name}",
        make_elsewhere=make_elsewhere,
        gone="410",
        later="503",
        is_one_provider=False,
    )


@pytest.fixture
def both(fcm, apns, tmp_path, settings):
    """Push with Google's and Apple's provider, and settings that trust both."""
    trusted = tmp_path / "both.pem"
    trusted.write_bytes(fcm.ca_file.read_bytes() + apns.ca_file.read_bytes())
    settings.CA_FILE = str(trusted)
    channel = PushChannel()
    yield channel
    channel.fcm.door.close()
    channel.apns.door.close()


@pytest.fixture
def over_both_to_android(both, over_fcm, settings):
    def elsewhere(port):
        settings.FCM_URL = f"https://localhost:{port}"
        return PushChannel()

    return replace(
        over_fcm,
        channel=both,
        make_elsewhere=elsewhere,
        platform="android",
        is_one_provider=False,
    )


@pytest.fixture
def over_both_to_ios(both, over_apns, settings):
    def elsewhere(port):
        settings.APNS_URL = f"https://localhost:{port}"
        return PushChannel()

    return replace(
        over_apns,
        channel=both,
        make_elsewhere=elsewhere,
        platform="ios",
        is_one_provider=False,
    )


@pytest.fixture
def inboxes(transactional_db):
    database = InboxDatabase()
    with database.running():
        yield database


@pytest.fixture
def over_inbox(inboxes):
    class Elsewhere:
        """The channel while the database is looked for at another port."""

        def __init__(self, port):
            self.port = port

        def send(self, drafts):
            place = dict(connection.settings_dict)
            connection.close()
            connection.settings_dict.update(HOST="127.0.0.1", PORT=str(self.port))
            try:
                return InboxChannel().send(drafts)
            finally:
                connection.settings_dict.update(place)

    return InboxSetting(
        channel=InboxChannel(),
        provider=inboxes,
        address=inboxes.address_of,
        content=lambda key: inbox_content(),
        too_large=inbox_content(content={"title": {"text": "x" * 65_536}}),
        match=inboxes.address_of,
        make_elsewhere=Elsewhere,
        gone="erased",
        later="busy",
        malformed="",
        endless="",
        chatty="erased",
    )
