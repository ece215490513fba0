"""What the documents say about settings and doors is complete."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
READ_BY = re.compile(r"env\.[a-z_]+\(\s*\"([A-Z_]+)\"")


def test_every_setting_stands_in_the_table_of_operations() -> None:
    table = (ROOT / "docs" / "operations.md").read_text()
    read = {
        name
        for path in (ROOT / "engage").rglob("*.py")
        for name in READ_BY.findall(path.read_text())
    }
    assert len(read) > 30
    internal = {"ENGAGE_INSTANCE"}  # the runner tells its children
    assert sorted(name for name in read - internal if f"`{name}`" not in table) == []


def test_every_document_that_the_readme_names_is_there() -> None:
    named = re.findall(r"\]\(([a-zA-Z/_.-]+)\)", (ROOT / "README.md").read_text())
    assert len(named) > 8
    assert [path for path in named if not (ROOT / path).exists()] == []
