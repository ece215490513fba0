"""Typed readers of environment variables. A wrong value stops the start with a sentence."""

import os
import re
import secrets
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit
from zoneinfo import ZoneInfo

TRUE = {"1", "true", "yes", "on"}
FALSE = {"0", "false", "no", "off", ""}
HOST = re.compile(r"(?P<host>\[[0-9a-f:.]+\]|[a-z0-9.-]+)(:(?P<port>\d{1,5}))?")
HOSTS = re.compile(r"\*|(\*\.)?[a-z0-9-]+(\.[a-z0-9-]+)*")
ON_A_SOCKET = {"unix", "redis+socket"}  # their addresses are paths


class SettingError(SystemExit):
    """An environment variable that cannot be used; the message says which and why."""

    def __init__(self, name: str, problem: str) -> None:
        super().__init__(f"{name}: {problem}")


def text(name: str, default: str = "") -> str:
    """The variable, or the content of the file that NAME_FILE names, or the default."""
    if path := os.environ.get(f"{name}_FILE"):
        try:
            return Path(path).read_text().strip()
        except OSError as exc:
            raise SettingError(f"{name}_FILE", f"cannot be read: {exc}") from exc
        except UnicodeDecodeError as exc:
            raise SettingError(f"{name}_FILE", f"cannot be read: {path} is no text") from exc
    return os.environ.get(name) or default  # an empty variable is like none


def time_zone(name: str, default: str) -> str:
    value = text(name, default)
    try:
        ZoneInfo(value)
    except (ValueError, OSError, LookupError) as exc:
        raise SettingError(name, f"{value!r} is no time zone, such as Europe/Berlin") from exc
    return value


def choice(name: str, default: str, *, options: tuple[str, ...]) -> str:
    value = text(name, default)
    if value not in options:
        raise SettingError(name, f"is {value!r}, expected one of {', '.join(options)}")
    return value


def integer(name: str, default: int, *, minimum: int = 0, maximum: int = 2**31 - 1) -> int:
    raw = text(name, str(default))
    try:
        value = int(raw)
    except ValueError as exc:
        raise SettingError(name, f"is {raw!r}, expected a whole number") from exc
    if not minimum <= value <= maximum:
        raise SettingError(name, f"is {value}, expected {minimum} to {maximum}")
    return value


def flag(name: str, default: bool = False) -> bool:
    raw = text(name, "1" if default else "0").lower()
    if raw in TRUE:
        return True
    if raw in FALSE:
        return False
    raise SettingError(name, f"is {raw!r}, expected yes or no")


def names(name: str, default: str) -> list[str]:
    """A comma-separated list."""
    return [part.strip() for part in text(name, default).split(",") if part.strip()]


def celery_address(redis_url: str) -> str:
    """A Redis address as Celery spells it, which matters for a socket only."""
    scheme, separator, rest = redis_url.partition("://")
    if scheme != "unix":
        return redis_url
    path, _, query = rest.partition("?")
    number = dict(parse_qsl(query)).get("db", "0")
    return f"redis+socket{separator}{path}?virtual_host={number}"


def url(name: str, default: str = "", *, schemes: tuple[str, ...]) -> str:
    """Without a slash at its end. The sentence never repeats the value: it may hold a password."""
    value = text(name, default).rstrip("/")
    if value and not _is_url(value, schemes):
        known = ", ".join(f"{scheme}://…" for scheme in schemes)
        raise SettingError(name, f"is no address that Engage can use, expected {known}")
    return value


def _is_url(value: str, schemes: tuple[str, ...]) -> bool:
    try:
        parts = urlsplit(value)
        place = parts.path.strip("/") if parts.scheme in ON_A_SOCKET else parts.hostname
        return parts.scheme in schemes and bool(place) and parts.port != 0
    except ValueError:  # a port that is no number
        return False


def origins(name: str) -> list[str]:
    """A comma-separated list of the beginnings of addresses, up to the host."""
    found = names(name, "")
    for origin in found:
        if not origin.startswith(("http://", "https://")):
            raise SettingError(name, f"has {origin!r}, expected http://… or https://…")
    return found


def hosts(name: str) -> list[tuple[str, int]]:
    """A comma-separated list of host or host:port; the port is 0 when there is none."""
    found: list[tuple[str, int]] = []
    for entry in names(name, ""):
        read = HOST.fullmatch(entry.lower())
        port = int(read["port"] or 0) if read else 0
        if read is None or port > 65_535 or read["port"] == "0":
            raise SettingError(name, f"has {entry!r}, expected host or host:port")
        found.append((read["host"].strip("[]"), port))
    return found


def host_patterns(name: str, default: str) -> list[str]:
    """A comma-separated list of names of hosts; *.name is all below it, * alone is any."""
    found = [entry.lower() for entry in names(name, default)]
    for entry in found:
        if not HOSTS.fullmatch(entry):
            raise SettingError(name, f"has {entry!r}, expected push.example or *.push.example")
    return found


def folder(name: str, default: Path) -> Path:
    """The folder, made for its owner alone when it is not there. A mode is never changed."""
    try:
        place = Path(text(name, str(default))).expanduser().absolute()
        place.mkdir(parents=True, exist_ok=True, mode=0o700)
    except (OSError, RuntimeError) as exc:
        raise SettingError(name, f"is no folder that can be used: {exc}") from exc
    return place


def secret_key(name: str, *, keep_in: Path) -> str:
    """The variable, else a key made once and kept in a file that only its owner can read."""
    if value := text(name):
        if len(value) < 32:
            raise SettingError(name, "is shorter than 32 characters")
        return value
    try:
        if not keep_in.exists():
            _keep(secrets.token_urlsafe(48), keep_in)
        kept = keep_in.read_text().strip()
    except (OSError, UnicodeDecodeError) as exc:
        raise SettingError(name, f"is not set, and {keep_in} cannot be used: {exc}") from exc
    if len(kept) < 32:
        raise SettingError(name, f"is not set, and {keep_in} holds no key: remove the file")
    return kept


def _keep(secret: str, file: Path) -> None:
    """Whole or not at all; when another process of the same start was faster, its secret stays."""
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle, draft = tempfile.mkstemp(prefix=f"{file.name}.", dir=file.parent)  # for the owner only
    try:
        with os.fdopen(handle, "w") as writer:
            writer.write(secret)
        with suppress(FileExistsError):
            os.link(draft, file)
    finally:
        os.unlink(draft)


def database(name: str, *, socket_dir: Path) -> Mapping[str, object]:
    """Django's DATABASES entry for a postgres:// URL; without one, the embedded server."""
    url = text(name)
    if not url:
        return {"NAME": "engage", "USER": "engage", "HOST": str(socket_dir), "PORT": "5432"}
    expected = "expected postgres://user:password@host:port/database"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as exc:
        raise SettingError(name, f"cannot be read, {expected}") from exc
    if parts.scheme not in {"postgres", "postgresql"} or not parts.path.strip("/"):
        raise SettingError(name, expected)
    return {
        "NAME": unquote(parts.path.strip("/")),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": unquote(parts.hostname or ""),
        "PORT": str(port or ""),
    }


def database_options(name: str) -> Mapping[str, str]:
    """What follows the "?" of a postgres:// URL, such as sslmode=require."""
    return dict(parse_qsl(urlsplit(text(name)).query))
