import pytest

from delivery.channels.fcm import FcmChannel
from delivery.channels.smtp import SmtpChannel
from tests.providers.fcm import Fcm
from tests.providers.smtp import SmtpSink


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
