"""The rooms: imports point one way, and every file says what lives in it."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
MAY_IMPORT = {
    "engage.lib": set(),
    "engage.profiles": {"engage.lib"},
    "engage.collector": {"engage.lib", "engage.profiles"},
    "catalog": {"engage.lib"},
    "recommendations": {"engage.lib", "catalog", "engage.profiles"},
    "delivery": {"engage.lib", "engage.profiles"},
    "campaigns": {
        "engage.lib",
        "engage.profiles",
        "engage.collector",
        "catalog",
        "recommendations",
        "delivery",
    },
}
OUR_NAMES = {"engage", "catalog", "recommendations", "delivery", "campaigns", "tests"}
BANNED_NAMES = {"utils", "util", "helpers", "helper", "common", "misc", "services", "selectors"}
SOURCES = sorted(
    path
    for top in ("engage", "catalog", "recommendations", "delivery", "campaigns")
    for path in (ROOT / top).rglob("*.py")
    if "migrations" not in path.parts
)


def imported_modules(path: Path) -> Iterator[str]:
    """Every module named by an import anywhere in the file, functions included."""
    package = ".".join(path.relative_to(ROOT).parts[:-1])
    yield from imports_in(path.read_text(), package=package)


def imports_in(source: str, *, package: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1]
            parts = [*(above if node.level else []), node.module or ""]
            module = ".".join(parts).strip(".")
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)


def room_of(module: str) -> str | None:
    """The room a module of ours belongs to; "engage" for the roof that knows every room."""
    for room in sorted(MAY_IMPORT, key=len, reverse=True):
        if module == room or module.startswith(f"{room}."):
            return room
    return "engage" if module.split(".")[0] == "engage" else None


def files_of(room: str) -> list[Path]:
    folder = ROOT.joinpath(*room.split("."))
    return [path for path in SOURCES if path.is_relative_to(folder)]


@pytest.mark.parametrize("room", sorted(MAY_IMPORT))
def test_room_imports_only_rooms_below_it(room: str) -> None:
    allowed = MAY_IMPORT[room] | {room, None}
    upward = {
        f"{path.relative_to(ROOT)} imports {name}"
        for path in files_of(room)
        for name in imported_modules(path)
        if room_of(name) not in allowed
    }
    assert upward == set()


def test_algorithms_know_numerics_and_nothing_else() -> None:
    foreign = {
        f"{path.relative_to(ROOT)} imports {name}"
        for path in files_of("recommendations.algorithms")
        for name in imported_modules(path)
        if name.split(".")[0] in OUR_NAMES - {"recommendations"} | {"django"}
        or (name.startswith("recommendations") and not name.startswith("recommendations.algor"))
    }
    assert sorted(foreign) == []


def test_topic_modules_never_import_tasks() -> None:
    ringing = {"tasks.py", "api.py", "admin.py", "urls.py", "app_launch.py"}
    importers = {
        f"{path.relative_to(ROOT)} imports {name}"
        for path in SOURCES
        if path.name not in ringing and not {"admin", "runner", "demo"} & set(path.parts)
        for name in imported_modules(path)
        if name.endswith(".tasks") or ".tasks." in name
    }
    assert sorted(importers) == []


def test_models_import_no_behaviour_of_their_room() -> None:
    reaching = {
        f"{path.relative_to(ROOT)} imports {name}"
        for path in SOURCES
        if path.name == "models.py" or path.parent.name == "models"
        for name in imported_modules(path)
        if name.split(".")[0] in OUR_NAMES
        and ".models" not in name
        and not name.startswith("engage.lib")
    }
    assert sorted(reaching) == []


def test_no_file_has_a_name_that_says_nothing() -> None:
    assert [str(p.relative_to(ROOT)) for p in SOURCES if p.stem in BANNED_NAMES] == []


def test_nothing_waits_in_the_broker() -> None:
    waiting = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        and any(keyword.arg in {"eta", "countdown"} for keyword in node.keywords)
    ]
    assert waiting == []


def test_every_module_says_what_lives_in_it() -> None:
    exempt = {"__init__.py", "apps.py", "admin.py", "manage.py"}
    silent = [
        str(path.relative_to(ROOT))
        for path in SOURCES
        if path.name not in exempt
        and "commands" not in path.parts
        and not ast.get_docstring(ast.parse(path.read_text()))
    ]
    assert silent == []


def test_an_upward_import_inside_a_function_is_seen(tmp_path: Path) -> None:
    source = ROOT / "engage" / "celery.py"
    assert "django.conf.settings" in set(imported_modules(source))
