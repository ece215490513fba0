"""Identifiers that sort by time, digests, and a stable place on the unit interval."""

import hashlib
import os
import time
import uuid


def uuid7(millis: int | None = None) -> uuid.UUID:
    """A UUID of version 7: 48 bits of milliseconds since 1970, then 74 random bits (RFC 9562)."""
    stamp = time.time_ns() // 1_000_000 if millis is None else millis
    value = (stamp & 0xFFFFFFFFFFFF) << 80 | int.from_bytes(os.urandom(10))
    value = value & ~(0xF000 << 64) | 0x7000 << 64
    value = value & ~(0xC000 << 48) | 0x8000 << 48
    return uuid.UUID(int=value)


def digest16(*parts: str) -> uuid.UUID:
    """A 16-byte digest of the parts, shaped as a UUID. ("a", "bc") and ("ab", "c") differ."""
    joined = b"".join(len(raw).to_bytes(4) + raw for raw in (p.encode() for p in parts))
    return uuid.UUID(bytes=hashlib.blake2b(joined, digest_size=16).digest())


def stable_unit(*parts: str) -> float:
    """Where the parts fall in [0, 1): the same in every process, release and language.

    The first 53 bits of SHA-256 over the parts joined by a zero byte.
    """
    digest = hashlib.sha256("\x00".join(parts).encode()).digest()
    return (int.from_bytes(digest[:8]) >> 11) / 2**53
