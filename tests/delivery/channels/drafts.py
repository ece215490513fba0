"""Drafts on their own, without rows."""

import uuid

from delivery.drafts import Draft
from tests.delivery.sending import email_content, push_content


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
