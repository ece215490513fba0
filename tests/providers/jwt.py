"""Reading tokens signed with ES256, as a provider does: by the book, not by our code."""

import base64
import json

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature


def decode(token: str, public_key: ec.EllipticCurvePublicKey) -> tuple[dict, dict]:
    """(header, claims). Raises ValueError."""
    parts = token.split(".")
    if len(parts) != 3:
        raise ValueError("no token")
    header, claims = json.loads(unpadded(parts[0])), json.loads(unpadded(parts[1]))
    signature = unpadded(parts[2])
    if header.get("alg") != "ES256" or len(signature) != 64:
        raise ValueError("not signed with ES256")
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    try:
        public_key.verify(
            encode_dss_signature(r, s),
            f"{parts[0]}.{parts[1]}".encode(),
            ec.ECDSA(hashes.SHA256()),
        )
    except InvalidSignature as exc:
        raise ValueError("wrong signature") from exc
    return header, claims


def unpadded(text: str) -> bytes:
    if "=" in text:
        raise ValueError("padded")
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
