"""Which mail server: an address such as smtp://user:password@host:587?starttls=1, taken apart."""

from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import parse_qs, unquote, urlsplit

from delivery.errors import ChannelNotConfigured


@dataclass(frozen=True, slots=True)
class Server:
    host: str
    port: int
    user: str
    password: str
    tls: bool  # from the first byte
    starttls: bool  # required, not merely tried


def parse_url(url: str) -> Server:
    """Raises ChannelNotConfigured with what to write instead."""
    wanted = "expected smtp://user:password@host:587?starttls=1 or smtps://user:password@host:465"
    if not url:
        raise ChannelNotConfigured(f"ENGAGE_SMTP_URL is not set: {wanted}")
    try:
        parts = urlsplit(url)
        port, options = parts.port, parse_qs(parts.query, strict_parsing=bool(parts.query))
    except ValueError as exc:
        raise ChannelNotConfigured(f"ENGAGE_SMTP_URL cannot be read: {wanted}") from exc
    starttls = options.pop("starttls", ["0"])[-1]
    known = parts.scheme in {"smtp", "smtps"} and starttls in {"0", "1"} and not options
    if not known or not parts.hostname or parts.path.strip("/"):
        raise ChannelNotConfigured(f"ENGAGE_SMTP_URL cannot be read: {wanted}")
    tls = parts.scheme == "smtps"
    if parts.password and not tls and starttls == "0" and not is_local(parts.hostname):
        raise ChannelNotConfigured(
            "ENGAGE_SMTP_URL would send the password to another machine in the clear: " + wanted
        )
    return Server(
        host=parts.hostname,
        port=port or (465 if tls else 587 if starttls == "1" else 25),
        user=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        tls=tls,
        starttls=starttls == "1",
    )


def is_local(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
