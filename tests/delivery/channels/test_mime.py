from datetime import UTC, datetime
from email import message_from_bytes, policy

import pytest

from delivery.channels.mime import build_mail, find_sender_address
from tests.delivery.sending import email_content

ODD = ["müller@shop.example", "Shop <a..b@shop.example>", "Shop <a@b.example", "Shop", "", "<>"]


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
    mail = build_mail(
        email_content(sender=sender), recipient="ann@shop.example", message_id="1@shop.example",
        boundary="=1", date=datetime(2026, 11, 2, tzinfo=UTC),
    )  # fmt: skip
    [address] = message_from_bytes(mail, policy=policy.default)["from"].addresses
    assert (address.display_name, address.addr_spec) == (name, "news@shop.example")


@pytest.mark.parametrize("sender", ODD)
def test_what_is_no_sender_is_none(sender):
    assert find_sender_address(sender) is None
