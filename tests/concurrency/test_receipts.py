"""A receipt that comes while the reaper gives its message up, on connections of their own."""

import pytest
from django.db import transaction

from delivery import erasure, reaping, receipts
from delivery.models import Message, Receipt
from delivery.receipts import Said
from engage.profiles.models import Consent, Profile
from tests.concurrency.test_inbox import in_thread, wait_until_somebody_waits
from tests.delivery.sending import claim, end_leases, mark
from tests.factories import NOON, make_message, make_profile

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def said() -> Said:
    """Of a message whose caller died."""
    make_message(profile=make_profile(email="ann@shop.example", opted_in=("email",)))
    [message] = claim()
    mark([message])
    end_leases()
    return Said("esp", "email", Receipt.Kind.DELIVERED, NOON, key=message.key)


def outcome() -> tuple[str, str]:
    return Message.objects.values_list("state", "reason").get()


def test_a_receipt_waits_for_the_reaper_and_has_the_last_word(said):
    with transaction.atomic():
        assert reaping.reap(NOON).unknown == 1
        teller = in_thread(lambda: receipts.take([said], now=NOON))
        wait_until_somebody_waits()
    teller.join(10)
    assert outcome() == ("accepted", "")


def test_an_opt_out_and_the_erasing_of_its_person_never_wait_for_each_other():
    person = make_profile(email="ann@shop.example", opted_in=("email",))
    message = make_message(profile=person, state="unknown")
    said = Said("twilio", "email", Receipt.Kind.OPTED_OUT, NOON, person.pk, message.id)
    with transaction.atomic():
        Profile.objects.select_for_update().get()
        eraser = in_thread(lambda: erasure.erase(person.pk))
        wait_until_somebody_waits()
        teller = in_thread(lambda: receipts.take([said], now=NOON))
        wait_until_somebody_waits(how_many=2)
    eraser.join(10)
    teller.join(10)
    assert Consent.objects.get(channel="email").status == "opted_out"
    row = Message.objects.get()
    assert (row.state, row.address_digest) == ("accepted", None)


def test_the_reaper_passes_by_what_a_receipt_is_about_and_finds_it_later(said):
    with transaction.atomic():
        receipts.take([said], now=NOON)
        reaper = in_thread(lambda: reaping.reap(NOON))
        reaper.join(10)
        assert not reaper.is_alive()
    assert outcome() == ("attempting", "heard")
    assert reaping.reap(NOON).unknown == 0
    assert outcome() == ("accepted", "")
