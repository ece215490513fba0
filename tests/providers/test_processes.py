"""The providers as processes of their own, as the demo starts them."""

import json
import smtplib
import subprocess
import sys
from pathlib import Path

import pytest

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
