from datetime import UTC, datetime
from email import message_from_bytes, policy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from delivery.channels.mime import build_mail, find_sender_address
from tests.delivery.sending import email_content

ODD = ["müller@shop.example", "Shop <a..b@shop.example>", "Shop <a@b.example", "Shop", "", "<>"]


def build(**fields):
    return build_mail(
        email_content(**fields), recipient="ann@shop.example", message_id="1@shop.example",
        boundary="=1", date=datetime(2026, 11, 2, tzinfo=UTC),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("sender", "name"),
    [
        ("Shop, Inc. <news@shop.example>", "Shop, Inc."),
        ('"Shop, Inc." <news@shop.example>', "Shop, Inc."),
        ("Käse, the <real> shop <news@shop.example>", "Käse, the <real> shop"),
        ('The "one" (only) <news@shop.example>', 'The "one" (only)'),
        ("news@shop.example", ""),
    ],
)
def test_the_sender_is_read_as_it_was_typed(sender, name):
    mail = build(sender=sender)
    [address] = message_from_bytes(mail, policy=policy.default)["from"].addresses
    assert (address.display_name, address.addr_spec) == (name, "news@shop.example")


@pytest.mark.parametrize("sender", ODD)
def test_what_is_no_sender_is_none(sender):
    assert find_sender_address(sender) is None


@pytest.mark.parametrize("size", [0, 1, 56, 57, 58, 114, 20_000])
def test_a_text_of_any_length_comes_back_from_lines_of_76_letters(size):
    text = "é" * (size % 2) + "a" * (size - 2 * (size % 2))
    mail = build(html=text)
    assert message_from_bytes(mail).get_payload(1).get_payload(decode=True) == text.encode()
    assert max(map(len, mail.split(b"\r\n"))) <= 76
    assert b"\n" not in mail.replace(b"\r\n", b"")


@given(st.text(max_size=2_000).map(lambda text: f".{text}\r\n.\n.\n {text}"))
def test_no_line_begins_with_a_dot(text):
    """One would end the mail, and what follows it would be commands."""
    mail = build(
        subject=text, text=text, html=text, sender=f"{text} <news@shop.example>",
        headers={"X-Campaign": text}, unsubscribe_url=text,
    )  # fmt: skip
    assert b"\n." not in mail
    assert not mail.startswith(b".")
    assert mail.endswith(b"\r\n")
