"""Mails signed by DKIM (RFC 6376): rsa-sha256, relaxed/relaxed.

By OpenSSL, not by dkimpy, which reckons in Python and takes seventeen times as long; the tests
verify with it.
"""

import base64
import hashlib
import logging
import re
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from django.conf import settings

from delivery.channels.mime import find_address
from delivery.errors import ChannelNotConfigured

logger = logging.getLogger(__name__)

FEWEST_BITS, MOST_BITS = 1_024, 4_096  # what verifiers must take (RFC 8301 §3.2)
SELECTOR: Final = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*")
DOMAIN: Final = re.compile(r"([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+[a-z0-9-]*[a-z0-9]")
# Not all: relays take off headers that are meant for them, and the signature would break.
SIGNED: Final = (
    "from", "reply-to", "to", "subject", "date", "message-id", "mime-version", "content-type",
    "list-unsubscribe", "list-unsubscribe-post", "list-id", "feedback-id",
)  # fmt: skip
FOLDS: Final = re.compile(r"[ \t\r\n]+")
BLANKS: Final = re.compile(rb"[ \t]+")
LINE_LETTERS = 72


@dataclass(frozen=True, slots=True)
class Signer:
    key: rsa.RSAPrivateKey = field(repr=False)
    selector: str
    domain: str  # empty: that of the sender
    unsigned: set[str] = field(default_factory=set)  # domains that are not ours to sign for

    def sign(self, mail: bytes, *, sender: str, now: datetime) -> bytes:
        """The mail, signed in front; as it is where the sender is not of our domain."""
        domain = self.find_domain(sender)
        if domain is None:
            self._warn(sender)
            return mail
        head, _, body = mail.partition(b"\r\n\r\n")
        fields = relax_head(head)
        names = [name for name in SIGNED if name in fields]
        body_hash = base64.b64encode(hashlib.sha256(relax_body(body)).digest()).decode()
        # From once more than there is: a second one, put above ours, breaks the signature.
        value = (
            f"v=1; a=rsa-sha256; c=relaxed/relaxed; d={domain};\r\n"
            f" s={self.selector}; t={int(now.timestamp())};\r\n"
            f" h=from:{':'.join(names)};\r\n"
            f" bh={body_hash};\r\n b="
        )
        lines = [f"{name}:{fields[name]}\r\n" for name in names]
        signed = "".join([*lines, f"dkim-signature:{_relax(value)}"]).encode("ascii")
        made = base64.b64encode(self.key.sign(signed, padding.PKCS1v15(), hashes.SHA256()))
        parts = [made[i : i + LINE_LETTERS] for i in range(0, len(made), LINE_LETTERS)]
        header = f"DKIM-Signature: {value}".encode("ascii") + b"\r\n ".join(parts)
        return header + b"\r\n" + mail

    def find_domain(self, sender: str) -> str | None:
        """Whom the signature names: the sender's domain, or the one above it that is ours."""
        own = domain_of(sender)
        if not self.domain:
            return own
        return self.domain if f".{own}".endswith(f".{self.domain}") else None

    def _warn(self, sender: str) -> None:
        """Once of each domain."""
        own = domain_of(sender)
        if own not in self.unsigned:
            self.unsigned.add(own)
            logger.warning("mail goes unsigned", extra={"domain": own, "ours": self.domain})


def read_signer() -> Signer | None:
    """What the settings ENGAGE_DKIM_… say; None without. Raises ChannelNotConfigured."""
    if not (settings.DKIM_KEY_FILE or settings.DKIM_SELECTOR or settings.DKIM_DOMAIN):
        return None
    wanted = "make one with `manage.py make_dkim_key FILE`"
    if not settings.DKIM_KEY_FILE:
        raise ChannelNotConfigured(f"ENGAGE_DKIM_KEY_FILE is not set: {wanted}")
    try:
        key = read_key(settings.DKIM_KEY_FILE)
    except (OSError, ValueError) as exc:
        raise ChannelNotConfigured(
            f"ENGAGE_DKIM_KEY_FILE cannot be used ({type(exc).__name__}): expected an RSA key of"
            f" {FEWEST_BITS} to {MOST_BITS} bits as PEM, without a password; {wanted}"
        ) from exc
    return Signer(key, read_selector(), read_domain())


def read_selector() -> str:
    """ENGAGE_DKIM_SELECTOR in small letters. Raises ChannelNotConfigured."""
    selector = settings.DKIM_SELECTOR.lower()
    if not SELECTOR.fullmatch(selector):
        raise ChannelNotConfigured(
            "ENGAGE_DKIM_SELECTOR must be the name before ._domainkey in the DNS, such as engage"
        )
    return selector


def read_domain() -> str:
    """ENGAGE_DKIM_DOMAIN as senders' are written: in ASCII, in small letters, no dot at the end.

    Empty: that of each sender. Raises ChannelNotConfigured.
    """
    domain = domain_of(find_address(f"dkim@{settings.DKIM_DOMAIN.removesuffix('.')}") or "")
    if settings.DKIM_DOMAIN and not DOMAIN.fullmatch(domain):
        raise ChannelNotConfigured("ENGAGE_DKIM_DOMAIN must be a domain, such as shop.example")
    return domain


def domain_of(address: str) -> str:
    return address.rpartition("@")[2].lower()


def read_key(path: str) -> rsa.RSAPrivateKey:
    """The private key in a PEM file. Raises OSError or ValueError."""
    try:
        key = serialization.load_pem_private_key(Path(path).read_bytes(), password=None)
    except (TypeError, UnsupportedAlgorithm) as exc:  # TypeError: it has a password
        raise ValueError("no private key that can be used") from exc
    if not isinstance(key, rsa.RSAPrivateKey) or not FEWEST_BITS <= key.key_size <= MOST_BITS:
        raise ValueError(f"no RSA key of {FEWEST_BITS} to {MOST_BITS} bits")
    return key


def make_key() -> bytes:
    """A new private key as PEM."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2_048)
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def make_record(key: rsa.RSAPrivateKey) -> str:
    """What the DNS says of the key, in one piece."""
    public = key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return f"v=DKIM1; k=rsa; p={base64.b64encode(public).decode()}"


def relax_head(head: bytes) -> dict[str, str]:
    """The fields by their names in small letters; of several the last, which verifiers take."""
    lines = re.split(r"\r\n(?![ \t])", head.decode("ascii"))
    parted = (line.partition(":") for line in lines)
    return {name.strip().lower(): _relax(value) for name, _, value in parted}


def relax_body(body: bytes) -> bytes:
    """Blanks count as one, those at the end of a line and empty lines at the end as none."""
    if b"\t" in body or b"  " in body:  # base64 has neither
        body = BLANKS.sub(b" ", body)
    text = body.replace(b" \r\n", b"\r\n").rstrip(b"\r\n")
    return text + b"\r\n" if text else b""


def _relax(value: str) -> str:
    return FOLDS.sub(" ", value).strip(" ")
