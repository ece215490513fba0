"""Named places where a test lets the process die as by a power cut; see `tests/faults/`.

Nobody sets ENGAGE_FAILPOINTS in earnest: then a place costs one look at a constant.
"""

import os
from pathlib import Path
from typing import Final

FOLDER: Final = os.environ.get("ENGAGE_FAILPOINTS", "")
DIED: Final = 86  # the code of a process that ended here


def reach(name: str) -> None:
    """Die here if a file of this name is armed. It is disarmed by that: one process dies, once."""
    if not FOLDER:
        return
    try:
        os.unlink(Path(FOLDER) / name)
    except FileNotFoundError:
        return
    os._exit(DIED)
