"""Typed readers of environment variables. A wrong value stops the start with a sentence."""

import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

TRUE = {"1", "true", "yes", "on"}
FALSE = {"0", "false", "no", "off", ""}


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
    return os.environ.get(name) or default  # an empty variable is like none


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


def folder(name: str, default: Path) -> Path:
    return Path(text(name, str(default))).expanduser().absolute()


def secret_key(name: str, *, keep_in: Path) -> str:
    """The variable, else a key made once and kept in a file that only its owner can read."""
    if value := text(name):
        if len(value) < 32:
            raise SettingError(name, "is shorter than 32 characters")
        return value
    if not keep_in.exists():
        keep_in.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            handle = os.open(keep_in, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:  # another process of the same start was faster
            return keep_in.read_text().strip()
        with os.fdopen(handle, "w") as file:
            file.write(secrets.token_urlsafe(48))
    return keep_in.read_text().strip()


def database(name: str, *, socket_dir: Path) -> Mapping[str, object]:
    """Django's DATABASES entry for a postgres:// URL; without one, the embedded server."""
    url = text(name)
    if not url:
        return {"NAME": "engage", "USER": "engage", "HOST": str(socket_dir), "PORT": "5432"}
    parts = urlsplit(url)
    if parts.scheme not in {"postgres", "postgresql"} or not parts.path.strip("/"):
        raise SettingError(name, "expected postgres://user:password@host:port/database")
    return {
        "NAME": unquote(parts.path.strip("/")),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": unquote(parts.hostname or ""),
        "PORT": str(parts.port or ""),
    }


def database_options(name: str) -> Mapping[str, str]:
    """What follows the "?" of a postgres:// URL, such as sslmode=require."""
    return dict(parse_qsl(urlsplit(text(name)).query))
