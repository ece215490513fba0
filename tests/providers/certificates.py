"""An authority of our own, a certificate for localhost, and a service account."""

import ipaddress
import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

HOSTS = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]


def make_certificates(folder: Path, *, names: Sequence[str] = ()) -> tuple[Path, Path]:
    """Paths of the authority's certificate and of the server's key with its certificate."""
    authority_key = ec.generate_private_key(ec.SECP256R1())
    authority = _certificate(
        "Engage test authority", key=authority_key, issuer=None, issuer_key=authority_key
    )
    server_key = ec.generate_private_key(ec.SECP256R1())
    server = _certificate(
        "localhost",
        key=server_key,
        issuer=authority.subject,
        issuer_key=authority_key,
        names=names,
    )
    ca_file, server_file = folder / "ca.pem", folder / "server.pem"
    ca_file.write_bytes(_pem(authority))
    server_file.touch(mode=0o600)
    server_file.write_bytes(_pem(server_key) + _pem(server))
    return ca_file, server_file


def make_service_account(path: Path, *, token_uri: str, project: str = "demo-shop") -> object:
    """Write the JSON that Google gives for an account; its public key, to verify with."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    path.touch(mode=0o600)
    path.write_text(
        json.dumps(
            {
                "type": "service_account",
                "project_id": project,
                "private_key_id": "key-1",
                "private_key": _pem(key).decode(),
                "client_email": f"sender@{project}.iam.example",
                "token_uri": token_uri,
            }
        )
    )
    return key.public_key()


def write_key(path: Path, key: ec.EllipticCurvePrivateKey) -> ec.EllipticCurvePublicKey:
    """A private key as PEM, which is what is in Apple's .p8 files; its public key."""
    path.touch(mode=0o600)
    path.write_bytes(_pem(key))
    return key.public_key()


def _certificate(name, *, key, issuer, issuer_key, names=()) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer or subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=30))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()),
            critical=False,
        )
    )
    if issuer is not None:
        known = x509.SubjectAlternativeName([*HOSTS, *map(x509.DNSName, names)])
        builder = builder.add_extension(known, critical=False)
    return builder.sign(issuer_key, hashes.SHA256())


def _pem(thing) -> bytes:
    if isinstance(thing, x509.Certificate):
        return thing.public_bytes(serialization.Encoding.PEM)
    return thing.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
