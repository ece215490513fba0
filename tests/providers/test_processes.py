"""The providers as processes of their own, as the demo starts them."""

import json
import smtplib
import subprocess
import sys
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import call_command

from delivery.channels.apns import ApnsChannel
from delivery.channels.web_push import WebPushChannel
from delivery.drafts import Accepted
from engage.lib.http import Door, Request
from tests.delivery.channels.drafts import push_draft
from tests.providers import ledger

ROOT = Path(__file__).resolve().parents[2]
MAIL = (
    "From: Shop <news@shop.example>\r\nTo: ann@shop.example\r\nSubject: Hi <b>Ann</b>\r\n"
    "Message-ID: <key-1@shop.example>\r\nContent-Type: text/html\r\n\r\n<p>Hello</p>\r\n"
)


@pytest.fixture
def start():
    running = []

    def run(name: str, *arguments: object) -> dict:
        command = [sys.executable, "-m", f"tests.providers.{name}", *map(str, arguments)]
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        running.append(process)
        return json.loads(process.stdout.readline())

    yield run
    for process in running:
        process.terminate()
        assert process.wait(10) == 0


def test_captured_mail_can_be_opened_as_files(start, tmp_path):
    facts = start("smtp", "--ledger", tmp_path / "l", "--captured", tmp_path / "mail")
    with smtplib.SMTP("127.0.0.1", facts["port"]) as client:
        client.sendmail("news@shop.example", ["ann@shop.example"], MAIL)
    assert ledger.read(tmp_path / "l") == [
        {"key": "key-1", "to": "ann@shop.example", "subject": "Hi <b>Ann</b>"}
    ]
    page = (tmp_path / "mail" / "index.html").read_text()
    assert facts["captured"] == str(tmp_path / "mail" / "index.html")
    assert "ann@shop.example<td>Hi &lt;b&gt;Ann&lt;/b&gt;" in page
    assert '<a href="000002.html">read</a> <a href="000001.eml">source</a>' in page
    assert (tmp_path / "mail" / "000002.html").read_text().strip() == "<p>Hello</p>"


def test_the_push_provider_says_all_that_a_client_needs(start, tmp_path):
    facts = start("fcm", "--ledger", tmp_path / "l", "--folder", tmp_path / "fcm")
    account = json.loads(Path(facts["credentials_file"]).read_text())
    assert account["token_uri"] == f"{facts['url']}/token"
    assert Path(facts["ca_file"]).read_text().startswith("-----BEGIN CERTIFICATE-----")
    assert facts["url"] == f"https://localhost:{facts['port']}"


@pytest.mark.parametrize(
    ("name", "arguments"), [("sms", []), ("webhook", ["--secret", "whsec_" + "A" * 32])]
)
def test_providers_of_one_request_a_message_say_where_they_are(start, tmp_path, name, arguments):
    facts = start(name, "--ledger", tmp_path / "l", "--folder", tmp_path / name, *arguments)
    assert Path(facts["ca_file"]).read_text().startswith("-----BEGIN CERTIFICATE-----")
    assert facts["url"] == f"https://localhost:{facts['port']}"


def test_apples_provider_says_all_that_a_client_needs(start, settings, tmp_path):
    facts = start("apns", "--ledger", tmp_path / "l", "--captured", tmp_path / "push")
    settings.APNS_URL, settings.CA_FILE = facts["url"], facts["ca_file"]
    settings.APNS_KEY_FILE, settings.APNS_KEY_ID = facts["key_file"], facts["key_id"]
    settings.APNS_TEAM_ID, settings.APNS_TOPIC = facts["team_id"], facts["topic"]
    channel = ApnsChannel()
    draft = push_draft("ab" * 32)
    assert channel.send([draft]) == [Accepted(str(draft.message_id))]
    channel.door.close()
    assert [line["key"] for line in ledger.read(tmp_path / "l")] == [str(draft.key)]
    assert "ab" * 32 in Path(facts["captured"]).read_text()


def test_the_browsers_service_gives_subscriptions(start, settings, tmp_path):
    facts = start("web_push", "--ledger", tmp_path / "l", "--captured", tmp_path / "push")
    settings.CA_FILE = facts["ca_file"]
    settings.PRIVATE_HOSTS = {("localhost", facts["port"])}
    settings.VAPID_KEY_FILE = str(tmp_path / "vapid.pem")
    settings.VAPID_SUBJECT = "mailto:push@shop.example"
    call_command("make_vapid_key", settings.VAPID_KEY_FILE, stdout=StringIO())
    door = Door()
    asked = Request(url=f"{facts['subscribe_url']}ann", body=b"", method="GET")
    [subscription] = door.fetch([asked], timeout_seconds=5)
    door.close()
    channel = WebPushChannel()
    draft = push_draft(subscription.body.decode(), title="Für dich")
    assert [type(outcome) for outcome in channel.send([draft])] == [Accepted]
    channel.door.close()
    [line] = ledger.read(tmp_path / "l")
    assert json.loads(line["text"])["title"] == "Für dich"
    assert "Für dich" in Path(facts["captured"]).read_text()
