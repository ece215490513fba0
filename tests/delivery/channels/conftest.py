import pytest

from delivery.channels.fcm import FcmChannel
from delivery.channels.sms import SmsChannel
from delivery.channels.smtp import SmtpChannel
from delivery.channels.webhook import WebhookChannel
from tests.delivery.sending import SECRET
from tests.providers import sms as sms_provider
from tests.providers.fcm import Fcm
from tests.providers.smtp import SmtpSink
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
