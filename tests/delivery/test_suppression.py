import pytest

from delivery import suppression
from delivery.models import Suppression

pytestmark = pytest.mark.django_db


def test_suppressing_twice_is_one_row_and_no_address():
    assert suppression.suppress("ann@shop.example", channel="email", reason="manual") is True
    assert suppression.suppress("ANN@shop.example ", channel="email", reason="bounced") is False
    row = Suppression.objects.get()
    assert (row.reason, suppression.is_suppressed("Ann@shop.example", channel="email")) == (
        "manual", True,
    )  # fmt: skip


def test_a_stronger_reason_replaces_an_unsubscription():
    suppression.suppress("ann@shop.example", channel="email", reason="unsubscribed")
    suppression.suppress("ann@shop.example", channel="email", reason="complained")
    assert Suppression.objects.get().reason == "complained"


def test_push_tokens_keep_their_case():
    suppression.suppress("AbC", channel="push", reason="gone")
    assert not suppression.is_suppressed("abc", channel="push")


def test_lifting_takes_the_address_off():
    suppression.suppress("ann@shop.example", channel="email", reason="manual")
    assert suppression.lift("ANN@shop.example", channel="email") is True
    assert suppression.lift("ANN@shop.example", channel="email") is False


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("ann@MÜLLER.example", "ann@xn--mller-kva.example"),
        ("u\u0308ber@shop.example", "über@shop.example"),
        ("no address", "No Address"),
        ("ann@..", "ANN@.."),
    ],
)
def test_two_spellings_of_an_address_are_one(one, other):
    suppression.suppress(one, channel="email", reason="manual")
    assert suppression.is_suppressed(other, channel="email")
    assert not suppression.is_suppressed("eve@shop.example", channel="email")


def test_only_an_unsubscription_does_not_block_for_good():
    suppression.suppress("ann@shop.example", channel="email", reason="unsubscribed")
    assert not suppression.is_blocked("ann@shop.example", channel="email")
    suppression.suppress("ann@shop.example", channel="email", reason="manual")
    assert suppression.is_blocked("ANN@shop.example", channel="email")
