"""Push to browsers: RFC 8030, encrypted by RFC 8291, signed by RFC 8292 (VAPID).

There is no one provider: each browser names the service to call, so its URL is not ours.
"""

import hmac
import json
import logging
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Final

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings

from delivery.channels import es256
from delivery.channels.pauses import Pauses, of_this_one
from delivery.drafts import Accepted, Draft, Outcome, PushContent, Refused, TryLater, Unknown
from delivery.errors import ChannelNotConfigured
from engage.lib import clock
from engage.lib.http import (
    DISOWNED,
    TIMEOUT,
    NoAnswer,
    Request,
    Response,
    retry_after_seconds,
)
from engage.lib.outbound import Forbidden, OutboundDoor, Place, UrlNotAllowed, read_url

logger = logging.getLogger(__name__)

RECORD_BYTES = 4_096  # services must take as much (RFC 8030 §7.2)
LARGEST_PAYLOAD = 3_993  # what is left of it for the text (RFC 8291 §4)
POINT_BYTES = 65
AUTH_BYTES = 16
LONGEST_SUBSCRIPTION = 4_096  # characters
LONGEST_TTL_SECONDS = 2_419_200  # four weeks, which every service takes
TOKEN_SECONDS = 43_200  # at most a day (RFC 8292 §2)
REFRESH_SECONDS = 21_600
MOST_ORIGINS = 1_000  # clients choose them
LAST_RECORD: Final = b"\x02"
DEFAULT_PORTS: Final = {"https": 443, "http": 80}


@dataclass(frozen=True, slots=True)
class Account:
    key: ec.EllipticCurvePrivateKey
    subject: str


def read_account() -> Account:
    """What the settings ENGAGE_VAPID_… say. Raises ChannelNotConfigured."""
    wanted = "make one with `manage.py make_vapid_key FILE`"
    if not settings.VAPID_KEY_FILE:
        raise ChannelNotConfigured(f"ENGAGE_VAPID_KEY_FILE is not set: {wanted}")
    try:
        key = es256.read_key(settings.VAPID_KEY_FILE)
    except (OSError, ValueError) as exc:
        raise ChannelNotConfigured(
            f"ENGAGE_VAPID_KEY_FILE cannot be used ({type(exc).__name__}): {wanted}"
        ) from exc
    if not settings.VAPID_SUBJECT.startswith(("mailto:", "https://")):
        raise ChannelNotConfigured(
            "ENGAGE_VAPID_SUBJECT must be mailto:… or https://…: whom a push service may ask"
        )
    return Account(key, settings.VAPID_SUBJECT)


@dataclass(frozen=True, slots=True)
class Subscription:
    """What a browser's `pushManager.subscribe()` gave."""

    place: Place
    point: bytes
    public_key: ec.EllipticCurvePublicKey
    auth: bytes

    @property
    def origin(self) -> str:
        scheme = self.place.url.partition("://")[0]
        host = f"[{self.place.host}]" if ":" in self.place.host else self.place.host
        usual = self.place.port == DEFAULT_PORTS[scheme]
        return f"{scheme}://{host}" if usual else f"{scheme}://{host}:{self.place.port}"


class ServiceNotAllowed(UrlNotAllowed):
    """The endpoint is of nobody whom ENGAGE_WEB_PUSH_HOSTS names."""


def read_subscription(text: str) -> Subscription:
    """From the JSON of a subscription. Raises ValueError; UrlNotAllowed for its endpoint."""
    if len(text) > LONGEST_SUBSCRIPTION:
        raise ValueError("the subscription is too long")
    try:
        facts = json.loads(text)
        endpoint, keys = facts["endpoint"], facts["keys"]
        point, auth = es256.from_base64(keys["p256dh"]), es256.from_base64(keys["auth"])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as exc:
        raise ValueError('expected {"endpoint": …, "keys": {"p256dh": …, "auth": …}}') from exc
    if not isinstance(endpoint, str):
        raise ValueError("the endpoint is no URL")
    if len(auth) != AUTH_BYTES:
        raise ValueError(f"keys.auth has {len(auth)} bytes, expected {AUTH_BYTES}")
    if len(point) != POINT_BYTES:
        raise ValueError(f"keys.p256dh has {len(point)} bytes, expected {POINT_BYTES}")
    public_key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
    place = read_url(endpoint)
    if not is_push_service(place):
        raise ServiceNotAllowed(
            f"the endpoint leads to {place.host}, which is no push service that we know:"
            " see ENGAGE_WEB_PUSH_HOSTS"
        )
    return Subscription(place, point, public_key, auth)


def is_push_service(place: Place) -> bool:
    """Clients send endpoints: one that leads elsewhere would have us call whom they choose."""
    return place.private or any(
        pattern in {"*", place.host}
        or (pattern.startswith("*.") and place.host.endswith(pattern[1:]))
        for pattern in settings.WEB_PUSH_HOSTS
    )


class WebPushChannel:
    batch_size: ClassVar[int] = 50

    def __init__(self) -> None:
        self.account = read_account()
        self.public_key = es256.to_base64(es256.public_bytes(self.account.key))
        self.door = OutboundDoor()
        self.pauses = Pauses()  # by origin
        self.tokens: dict[str, tuple[str, float]] = {}  # by origin: (token, to be renewed at)

    def send(self, drafts: Sequence[Draft]) -> list[Outcome]:
        """Each draft for itself: of many services, one that is away says nothing of the others."""
        deadline = time.monotonic() + settings.PROVIDER_TIMEOUT_SECONDS
        prepared = [self._prepare(draft) for draft in drafts]
        requests = {n: one for n, one in enumerate(prepared) if isinstance(one, Request)}
        refused = {n: one for n, one in enumerate(prepared) if isinstance(one, Refused)}
        services: dict[str, list[int]] = {}
        for n, request in requests.items():
            services.setdefault(origin_of(request.url), []).append(n)
        going = [n for name, all_of in services.items() for n in all_of[: self.pauses.most(name)]]
        left = max(deadline - time.monotonic(), 0.1)
        answers = self.door.fetch([requests[n] for n in going], timeout_seconds=left)
        judged = {n: judge(answer) for n, answer in zip(going, answers, strict=True)}
        for name, all_of in services.items():
            self.pauses.learn(name, [judged[n] for n in all_of if n in judged])
            judged = dict.fromkeys(all_of, self.pauses.later(name)) | judged
        return [refused.get(n) or of_this_one(judged[n]) for n in range(len(drafts))]

    def _prepare(self, draft: Draft) -> Request | Refused:
        content = draft.content
        if not isinstance(content, PushContent) or not draft.address:
            return Refused("invalid_address")
        try:
            subscription = read_subscription(draft.address)
        except ServiceNotAllowed:
            return Refused("push_service_not_allowed")
        except UrlNotAllowed:
            return Refused("url_not_allowed")
        except ValueError:
            return Refused("invalid_subscription")
        text = encode(draft, content)
        if len(text) > LARGEST_PAYLOAD:
            return Refused("payload_too_large")
        ttl = LONGEST_TTL_SECONDS if content.ttl_seconds is None else content.ttl_seconds
        return Request(
            url=subscription.place.url,
            headers=[
                f"Authorization: vapid t={self._token(subscription.origin)}, k={self.public_key}",
                f"TTL: {min(max(ttl, 0), LONGEST_TTL_SECONDS)}",
                "Urgency: normal",
                f"Topic: {es256.to_base64(draft.key.bytes)}",  # a second one replaces the first
                "Content-Encoding: aes128gcm",
                "Content-Type: application/octet-stream",
            ],
            body=encrypt(
                text,
                subscription,
                key=ec.generate_private_key(ec.SECP256R1()),
                salt=os.urandom(16),
            ),
        )

    def _token(self, origin: str) -> str:
        now = time.time()
        token, renew_at = self.tokens.get(origin, ("", 0.0))
        if not renew_at - REFRESH_SECONDS <= now < renew_at:  # nor when the clock was set back
            if len(self.tokens) >= MOST_ORIGINS:
                self.tokens.clear()
            claims = {
                "aud": origin,
                "exp": int(now) + TOKEN_SECONDS,
                "sub": self.account.subject,
            }
            token = es256.sign(self.account.key, claims)
            self.tokens[origin] = token, now + REFRESH_SECONDS
        return token


def encode(draft: Draft, content: PushContent) -> bytes:
    """What the page's service worker reads. With the same tag, one replaces the other."""
    shown = {
        "title": content.title,
        "body": content.body,
        "image": content.image,
        "link": content.link,
        "tag": draft.key.hex,
    }
    data = {**content.data, "message_id": str(draft.message_id), "key": str(draft.key)}
    return msgspec.json.encode(
        {**{name: text for name, text in shown.items() if text}, "data": data}
    )


def encrypt(
    text: bytes, subscription: Subscription, *, key: ec.EllipticCurvePrivateKey, salt: bytes
) -> bytes:
    """One record that only the browser can read. Key and salt must be new each time.

    Source: RFC 8291 (keys), RFC 8188 (record).
    """
    point = es256.public_bytes(key)
    shared = key.exchange(ec.ECDH(), subscription.public_key)
    about = b"WebPush: info\x00" + subscription.point + point
    secret = _derive(shared, salt=subscription.auth, about=about, size=32)
    cipher = _derive(secret, salt=salt, about=b"Content-Encoding: aes128gcm\x00", size=16)
    nonce = _derive(secret, salt=salt, about=b"Content-Encoding: nonce\x00", size=12)
    header = salt + RECORD_BYTES.to_bytes(4, "big") + bytes([len(point)]) + point
    return header + AESGCM(cipher).encrypt(nonce, text + LAST_RECORD, None)


def _derive(secret: bytes, *, salt: bytes, about: bytes, size: int) -> bytes:
    """HKDF (RFC 5869) with SHA-256, for at most 32 bytes."""
    extracted = hmac.digest(salt, secret, "sha256")
    return hmac.digest(extracted, about + b"\x01", "sha256")[:size]


def origin_of(url: str) -> str:
    """Of one that was read: https://host:port/…"""
    return "/".join(url.split("/", 3)[:3])


def judge(answer: Response | NoAnswer | Forbidden) -> Outcome:
    """`everybody` is said of the one service, and ends with its pause."""
    if isinstance(answer, Forbidden):
        return Refused(answer.reason)
    if isinstance(answer, NoAnswer):
        if answer.sent:
            return Unknown(answer.reason, everybody=answer.reason == TIMEOUT)
        return TryLater(answer.reason, everybody=answer.reason != DISOWNED)
    reason, status = f"http_{answer.status}", answer.status
    if status == 201:
        return Accepted(answer.headers.get("location", "")[:255])
    if status // 100 == 2:  # a page of somebody in between
        return Unknown("malformed_answer")
    if status in {404, 410}:
        return Refused(reason, gone=True)
    if status == 413:
        return Refused("payload_too_large")
    if status in {401, 403}:  # our key, or a subscription made for another one
        logger.warning("web push refused", extra={"reason": reason})
    elif status // 100 in {3, 4} and status != 429:
        return Refused(reason)
    wait = retry_after_seconds(answer, now=clock.now())
    return TryLater(reason, wait, everybody=status >= 500)
