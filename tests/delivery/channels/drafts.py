"""Drafts on their own, without rows."""

import uuid
import zlib

from delivery.drafts import Draft
from tests.delivery.sending import email_content, push_content, sms_content, webhook_content


def mail_draft(address: str = "ann@shop.example", **fields: object) -> Draft:
    return Draft(
        message_id=uuid.uuid4(),
        key=uuid.uuid4(),
        address=address,
        content=email_content(**fields),
    )


def push_draft(address: str = "token-ann", **fields: object) -> Draft:
    return Draft(
        message_id=uuid.uuid4(),
        key=uuid.uuid4(),
        address=address,
        content=push_content(**fields),
    )


def sms_draft(address: str = "ann@shop.example", **fields: object) -> Draft:
    """To a number that the name stands for; the provider finds the name in the text."""
    key = uuid.uuid4()
    number = f"+1555{zlib.crc32(address.encode()):010d}" if address else ""
    status_url = f"https://shop.example/hooks/sms/{key}"
    return Draft(
        message_id=uuid.uuid4(),
        key=key,
        address=number,
        content=sms_content(**({"text": f"Hello {address}", "status_url": status_url} | fields)),
    )


def webhook_draft(url: str, **fields: object) -> Draft:
    return Draft(
        message_id=uuid.uuid4(),
        key=uuid.uuid4(),
        address=url,
        content=webhook_content(**fields),
    )
