import uuid

import pytest

from delivery.channels.inbox import LARGEST_CONTENT, InboxChannel
from delivery.drafts import Accepted, Draft, Refused, TryLater, Unknown
from delivery.models import InboxMessage
from tests.delivery.sending import inbox_content, push_content
from tests.factories import make_profile


def draft(address, **fields):
    content = fields.pop("content", None) or inbox_content(**fields)
    return Draft(message_id=uuid.uuid4(), key=uuid.uuid4(), address=str(address), content=content)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (inbox_content(content={"title": "x" * LARGEST_CONTENT}), "payload_too_large"),
        (inbox_content(content={"title": "a\x00b"}), "invalid_content"),
        (inbox_content(content={"title": "\ud83d"}), "invalid_content"),
        (push_content(), "invalid_address"),
    ],
)
def test_what_cannot_be_kept_is_refused_and_its_neighbours_go(content, reason):
    person = make_profile().pk
    good = draft(person)
    outcomes = InboxChannel().send([draft(person, content=content), good])
    assert outcomes == [Refused(reason), Accepted()]
    assert InboxMessage.objects.get().id == good.message_id


@pytest.mark.django_db
@pytest.mark.parametrize("address", ["", "ann", "0", "-1", "1.5", "٣", "9" * 20, "1 OR 1=1"])
def test_an_address_is_the_number_of_a_profile(address):
    assert InboxChannel().send([draft(address)]) == [Refused("invalid_address")]


@pytest.mark.django_db(transaction=True)
def test_an_unknown_outcome_repeated_leaves_one_message(inboxes):
    """What the policy counts on when it has unknown ones called again."""
    one = draft(inboxes.address_of("ann"))
    inboxes.play("accept_then_reset")
    assert InboxChannel().send([one]) == [Unknown("database_error")]
    assert InboxChannel().send([one]) == [Accepted()]
    assert InboxMessage.objects.get().id == one.message_id


@pytest.mark.django_db(transaction=True)
def test_a_database_that_is_too_slow_pauses_the_channel_and_keeps_nothing(inboxes, settings):
    settings.PROVIDER_TIMEOUT_SECONDS = 1
    one = draft(inboxes.address_of("ann"))
    inboxes.play("slow", seconds=20)
    assert InboxChannel().send([one]) == [Unknown("timeout", everybody=True)]
    inboxes.stop()
    assert InboxMessage.objects.count() == 0
    assert InboxChannel().send([one]) == [Accepted()]


@pytest.mark.django_db(transaction=True)
def test_somebody_whose_row_is_held_is_put_off_and_nobody_waits(inboxes):
    inboxes.play("busy", match=inboxes.address_of("ann"))
    drafts = [draft(inboxes.address_of(name)) for name in ("ann", "bob")]
    assert InboxChannel().send(drafts) == [TryLater("busy"), Accepted()]
