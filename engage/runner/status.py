"""What a running `manage.py up` says of itself, for commands and people beside it.

A file of its own beside the lock, replaced whole: a reader sees the facts of one moment, never
half of them.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def status_file(data_dir: Path) -> Path:
    return data_dir / "locks" / "up.json"


def write_status(data_dir: Path, facts: Mapping[str, Any]) -> None:
    """Only for whoever holds the lock of `up`; raises OSError when the disk does not take it."""
    path = status_file(data_dir)
    draft = path.with_suffix(".new")
    draft.write_text(json.dumps(facts))
    draft.replace(path)


def read_status(data_dir: Path) -> dict[str, Any]:
    """`pid`, `ready`, `url`, `instance` and `children`; empty where nothing was ever started."""
    try:
        facts: dict[str, Any] = json.loads(status_file(data_dir).read_text())
    except (OSError, ValueError):  # ValueError: the machine died before the disk had the words
        return {}
    return facts
