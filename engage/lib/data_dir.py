"""Where one installation keeps its files, and the short folder its sockets live in."""

import hashlib
import os
import tempfile
from pathlib import Path

# A Unix socket's path may have 107 bytes; ".s.PGSQL.5432" needs 14 of them.
LONGEST_SOCKET_DIR = 90


def socket_dir(data_dir: Path) -> Path:
    """The folder for the sockets of the embedded servers of `data_dir`; it may not exist yet.

    Inside the data folder where the path is short enough, else a folder of the system's temporary
    place that is named after it.
    """
    inside = data_dir / "run"
    if len(os.fsencode(inside)) <= LONGEST_SOCKET_DIR:
        return inside
    digest = hashlib.sha256(os.fsencode(data_dir)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"engage-{os.getuid()}-{digest}"
