"""Keys on the curve P-256 and the tokens they sign: JWT with ES256 (RFC 7515, 7518)."""

import base64
import binascii
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

COORDINATE_BYTES = 32
SHA256: Final = ec.ECDSA(hashes.SHA256())
URL_SAFE: Final = re.compile(r"[A-Za-z0-9_-]*={0,2}")


def read_key(path: str) -> ec.EllipticCurvePrivateKey:
    """The private key in a PEM file. Raises OSError or ValueError."""
    try:
        key = serialization.load_pem_private_key(Path(path).read_bytes(), password=None)
    except (TypeError, UnsupportedAlgorithm) as exc:  # TypeError: it has a password
        raise ValueError("no private key that can be used") from exc
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise ValueError("no key on the curve P-256")
    return key


def to_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def sign(
    key: ec.EllipticCurvePrivateKey, claims: Mapping[str, object], *, key_id: str = ""
) -> str:
    header = {"alg": "ES256", "typ": "JWT"} | ({"kid": key_id} if key_id else {})
    signed = ".".join(to_base64(msgspec.json.encode(part)) for part in (header, claims))
    r, s = decode_dss_signature(key.sign(signed.encode(), SHA256))
    pair = r.to_bytes(COORDINATE_BYTES, "big") + s.to_bytes(COORDINATE_BYTES, "big")
    return f"{signed}.{to_base64(pair)}"


def public_bytes(key: ec.EllipticCurvePrivateKey) -> bytes:
    """The public point, uncompressed: 65 bytes."""
    return key.public_key().public_bytes(
        serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
    )


def to_base64(data: bytes) -> str:
    """URL-safe and without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def from_base64(text: str) -> bytes:
    """URL-safe, with padding or without. Raises ValueError."""
    bare = text.rstrip("=")
    if not URL_SAFE.fullmatch(text):
        raise ValueError("no URL-safe base64")
    try:
        return base64.urlsafe_b64decode(bare + "=" * (-len(bare) % 4))
    except binascii.Error as exc:
        raise ValueError("no URL-safe base64") from exc
