"""What receivers may make of a sender's mail, as far as it is known before any goes."""

from collections.abc import Iterator

from django.conf import settings

from delivery.channels.mime import find_sender_address
from delivery.errors import ChannelNotConfigured


def doubt(sender: str) -> Iterator[str]:
    """Mail that our key does not sign, where we sign any; e-mail services sign by themselves."""
    from delivery.channels import dkim  # only pages that ask need its libraries

    address = find_sender_address(sender)
    if address is None or settings.ESP_KEY or not settings.SMTP_URL:
        return
    try:
        signer = dkim.read_signer()
    except ChannelNotConfigured:
        return  # nothing goes, and whoever asks is told so
    if signer is not None and signer.find_domain(address) is None:
        yield (
            f"Mail from {address} is not signed: the key is for {signer.domain}. Unless your mail"
            " server signs it, mail programs may put it into spam."
        )
