import os
import subprocess
import sys

import pytest

from engage.runner.locks import gate_file, try_lock

WAIT = """
import sys
from pathlib import Path
from engage.runner.locks import wait_at_gate
print("loaded", flush=True)
wait_at_gate(Path(sys.argv[1]))
"""


def test_what_has_loaded_waits_at_the_gate_until_it_opens(tmp_path):
    gate = try_lock(gate_file(tmp_path))
    worker = subprocess.Popen(
        [sys.executable, "-c", WAIT, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    with worker.stdout as words:
        assert words.readline() == "loaded\n"
    with pytest.raises(subprocess.TimeoutExpired):
        worker.wait(0.3)
    os.close(gate)
    assert worker.wait(5) == 0
