from io import StringIO

import pytest
from django.core.management import call_command

from delivery import senders

ELSEWHERE = (
    "Mail from news@shop.example is not signed: the key is for mail.example. Unless your mail"
    " server signs it, mail programs may put it into spam."
)


@pytest.fixture(autouse=True)
def signing(tmp_path, settings):
    """Mail by SMTP is signed for mail.example and what is below."""
    file = tmp_path / "dkim.pem"
    call_command("make_dkim_key", str(file), stdout=StringIO())
    settings.SMTP_URL = "smtp://127.0.0.1:1"
    settings.DKIM_KEY_FILE = str(file)
    settings.DKIM_SELECTOR, settings.DKIM_DOMAIN = "engage", "mail.example"


@pytest.mark.parametrize(
    ("sender", "doubts"),
    [
        ("Shop <news@shop.example>", [ELSEWHERE]),
        ("news@Shop.Example", [ELSEWHERE.replace("shop.example", "Shop.Example")]),
        ("Shop <news@mail.example>", []),
        ("Shop <news@letters.MAIL.example>", []),
        ("no address", []),  # nothing goes
        ("", []),
    ],
)
def test_a_sender_whom_the_key_does_not_sign_for_is_doubted(sender, doubts):
    assert list(senders.doubt(sender)) == doubts


@pytest.mark.parametrize(
    "changes",
    [
        {"DKIM_DOMAIN": ""},  # each mail is signed as its sender's domain
        {"DKIM_KEY_FILE": "", "DKIM_SELECTOR": "", "DKIM_DOMAIN": ""},  # we sign nothing
        {"DKIM_KEY_FILE": "/nowhere.pem"},  # nothing goes
        {"SMTP_URL": ""},
        {"EMAIL_ESP": "postmark", "ESP_KEY": "sesame"},  # the service signs
    ],
)
def test_nobody_is_doubted_where_our_key_does_not_matter(settings, changes):
    for name, value in changes.items():
        setattr(settings, name, value)
    assert list(senders.doubt("Shop <news@shop.example>")) == []
