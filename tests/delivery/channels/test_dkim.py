from datetime import UTC, datetime
from email import message_from_bytes
from io import StringIO

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from django.core.management import CommandError, call_command
from dkim.canonicalization import Relaxed
from hypothesis import given
from hypothesis import strategies as st

from delivery.channels.dkim import make_record, read_key, read_signer, relax_body, relax_head
from delivery.channels.smtp import SmtpChannel
from delivery.drafts import Accepted, Refused
from delivery.errors import ChannelNotConfigured
from tests.delivery.channels.drafts import mail_draft
from tests.providers.certificates import make_certificates, write_key
from tests.providers.smtp import SmtpSink

NOW = datetime(2026, 11, 2, tzinfo=UTC)
WAY_OUT = "https://shop.example/u/abc"
UNSIGNED = Refused("smtp 550 5.7.20")


def make_key(file) -> str:
    output = StringIO()
    call_command("make_dkim_key", str(file), stdout=output)
    return output.getvalue().strip()


@pytest.fixture
def key_file(tmp_path, settings):
    file = tmp_path / "dkim.pem"
    settings.DKIM_SELECTOR, settings.DKIM_DOMAIN = "engage", "shop.example"
    make_key(file)
    settings.DKIM_KEY_FILE = str(file)
    return file


@pytest.fixture
def verifying(tmp_path, key_file, settings):
    """A mail server with STARTTLS that takes only what our key signed."""
    ca_file, server_file = make_certificates(tmp_path)
    record = make_record(read_key(str(key_file)))
    records = {"engage._domainkey.shop.example": record}
    sink = SmtpSink(tmp_path / "l", server_file=server_file, records=records)
    with sink.running():
        settings.SMTP_URL = f"smtp://localhost:{sink.port}?starttls=1"
        settings.CA_FILE = str(ca_file)
        yield sink


def send(*drafts):
    channel = SmtpChannel()
    outcomes = channel.send(drafts)
    channel.close()
    return outcomes


def signed_with(header: str) -> dict[str, str]:
    return dict(tag.strip().split("=", 1) for tag in "".join(header.split()).split(";"))


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"subject": "Schöne Grüße €" * 20, "html": "<p>Hé  🎁</p>", "text": "Hé\n.\n \tbye  \n\n"},
        {"subject": "a  b\t" * 150, "html": "x" * 20_000, "unsubscribe_url": WAY_OUT + "y" * 700},
        {"sender": "Käse, the shop <news@Mail.Shop.example>", "html": "", "text": ""},
        {"headers": {"Reply-To": "a@shop.example", "reply-to": "b@shop.example", "X-Y": "z"}},
    ],
)
def test_what_is_signed_verifies_at_the_other_end(verifying, fields):
    [outcome] = send(mail_draft(**fields))
    assert isinstance(outcome, Accepted)
    [(_, raw)] = verifying.seen
    assert max(map(len, raw.split(b"\r\n"))) <= 998
    assert raw.startswith(b"DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=shop.example;")


def test_the_signature_covers_both_list_headers_and_a_second_from(verifying):
    send(mail_draft(unsubscribe_url=WAY_OUT))
    [(_, raw)] = verifying.seen
    assert signed_with(message_from_bytes(raw)["dkim-signature"])["h"].split(":") == [
        "from", "from", "to", "subject", "date", "message-id", "mime-version", "content-type",
        "list-unsubscribe", "list-unsubscribe-post",
    ]  # fmt: skip
    assert verifying.is_signed(raw)
    assert not verifying.is_signed(b"From: eve@evil.example\r\n" + raw)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (b"PGI+SGk8L2I+", b"PGI+SGo8L2I+"),
        (b"Subject: Hi", b"Subject: Ho"),
        (b"/u/abc", b"/u/abd"),
        (b"=One-Click", b"=Two-Click"),
    ],
)
def test_what_was_changed_on_the_way_does_not_verify(verifying, ours, theirs):
    send(mail_draft(subject="Hi", html="<b>Hi</b>", unsubscribe_url=WAY_OUT))
    [(_, raw)] = verifying.seen
    assert raw.count(ours) == 1
    assert not verifying.is_signed(raw.replace(ours, theirs))


def test_a_key_that_is_not_in_the_dns_signs_for_nobody(verifying, tmp_path, settings):
    make_key(tmp_path / "other.pem")
    settings.DKIM_KEY_FILE = str(tmp_path / "other.pem")
    assert send(mail_draft()) == [UNSIGNED]
    assert (verifying.seen, len(verifying.not_signed)) == ([], 1)


def test_without_a_key_nothing_is_signed(verifying, settings):
    settings.DKIM_KEY_FILE = settings.DKIM_SELECTOR = settings.DKIM_DOMAIN = ""
    assert send(mail_draft()) == [UNSIGNED]
    [raw] = verifying.not_signed
    assert b"dkim" not in raw.lower()


@pytest.mark.parametrize(
    ("domain", "sender", "signer"),
    [
        ("shop.example", "news@shop.example", "shop.example"),
        ("Shop.example", "news@mail.SHOP.example", "shop.example"),
        ("bücher.example", "news@xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("shop.example.", "news@shop.example", "shop.example"),
        ("", "news@Other.example", "other.example"),
        ("shop.example", "news@other.example", None),
        ("shop.example", "news@myshop.example", None),
        ("mail.shop.example", "news@shop.example", None),
    ],
)
def test_a_domain_signs_for_itself_and_what_is_below(key_file, settings, domain, sender, signer):
    settings.DKIM_DOMAIN = domain
    assert read_signer().find_domain(sender) == signer


def test_a_sender_elsewhere_goes_unsigned_with_one_warning(key_file, caplog):
    signer, mail = read_signer(), b"From: news@other.example\r\n\r\nHi\r\n"
    for _ in range(2):
        assert signer.sign(mail, sender="news@other.example", now=NOW) == mail
    assert [record.message for record in caplog.records] == ["mail goes unsigned"]


@pytest.mark.parametrize("kind", ["none", "half", "curve", "long"])
def test_a_bad_key_stops_the_start_and_is_not_repeated(key_file, kind):
    text = key_file.read_text()
    key_file.write_text({"half": text[:600]}.get(kind, "my secret"))
    if kind == "curve":
        write_key(key_file, ec.generate_private_key(ec.SECP256R1()))
    if kind == "long":
        write_key(key_file, rsa.generate_private_key(public_exponent=65537, key_size=4_104))
    with pytest.raises(ChannelNotConfigured) as refused:
        read_signer()
    assert str(refused.value) == (
        "ENGAGE_DKIM_KEY_FILE cannot be used (ValueError): expected an RSA key of 1024 to 4096"
        " bits as PEM, without a password; make one with `manage.py make_dkim_key FILE`"
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SELECTOR", ""), ("SELECTOR", "a b"), ("SELECTOR", "a; d=evil.example"),
        ("SELECTOR", "a._domainkey.shop.example"), ("DOMAIN", "shop"), ("DOMAIN", "a b.example"),
        ("DOMAIN", "https://shop.example"), ("DOMAIN", "-.example"), ("DOMAIN", "."),
    ],
)  # fmt: skip
def test_a_wrong_name_is_said_at_start(key_file, settings, name, value):
    setattr(settings, f"DKIM_{name}", value)
    with pytest.raises(ChannelNotConfigured, match=f"ENGAGE_DKIM_{name} must be"):
        read_signer()


@given(st.text(alphabet=" \ta.", max_size=8).flatmap(
    lambda word: st.lists(st.sampled_from([word, "", " ", "\t ", "b  c"]), max_size=8)
))  # fmt: skip
def test_bodies_and_heads_are_relaxed_as_by_dkimpy(lines):
    body = "".join(f"{line}\r\n" for line in lines).encode()
    assert relax_body(body) == Relaxed.canonicalize_body(body)
    value = "\r\n ".join(["", *(line.strip() for line in lines if line.strip())])
    [(name, theirs)] = Relaxed.canonicalize_headers([(b"Subject", value.encode() + b"\r\n")])
    assert relax_head(f"Subject:{value}".encode()) == {name.decode(): theirs[:-2].decode()}


def test_the_command_prints_a_record_of_texts_that_the_dns_takes(key_file):
    content = key_file.read_bytes()
    said = make_key(key_file)
    assert key_file.read_bytes() == content
    assert key_file.stat().st_mode & 0o777 == 0o600
    name, quoted = said.split(" IN TXT ")
    texts = quoted.strip('"').split('" "')
    assert name == "engage._domainkey.shop.example."
    assert [len(text) <= 255 for text in texts] == [True, True]
    assert "".join(texts) == make_record(read_key(str(key_file)))


def test_the_record_is_named_as_mail_is_signed(key_file, settings):
    settings.DKIM_SELECTOR, settings.DKIM_DOMAIN = "Engage", "Bücher.example."
    name, _ = make_key(key_file).split(" IN TXT ")
    assert name == "engage._domainkey.xn--bcher-kva.example."
    assert read_signer().find_domain("a@m.xn--bcher-kva.example") == "xn--bcher-kva.example"


def test_the_names_may_be_chosen_after_the_key(tmp_path):
    assert make_key(tmp_path / "dkim.pem").startswith("SELECTOR._domainkey.DOMAIN. IN TXT ")


@pytest.mark.parametrize(("name", "value"), [("SELECTOR", "a b"), ("DOMAIN", "https://shop")])
def test_a_wrong_name_makes_no_key(tmp_path, settings, name, value):
    setattr(settings, f"DKIM_{name}", value)
    with pytest.raises(CommandError, match=f"ENGAGE_DKIM_{name} must be"):
        make_key(tmp_path / "dkim.pem")
    assert list(tmp_path.iterdir()) == []


def test_another_file_is_left_alone(tmp_path):
    (tmp_path / "notes").write_text("mine")
    with pytest.raises(CommandError, match="cannot be used"):
        make_key(tmp_path / "notes")
    assert (tmp_path / "notes").read_text() == "mine"
