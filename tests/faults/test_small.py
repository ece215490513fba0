"""A few faults, seeded, in every `make test`; `make faults` plays all of them."""

import json
import subprocess
import sys

import pytest

from tests.faults.harness import OWN_NAMES, ROOT, without

SEED = 20261128
FEW = "F-09,F-11-C5,F-11-C7,F-11-C10,F-14"


@pytest.mark.slow
def test_nothing_is_lost_or_doubled_whatever_is_killed():
    said = subprocess.run(
        [sys.executable, "-m", "tests.faults.run", "--only", FEW, "--rounds=1", "--lanes=1",
         f"--seed={SEED}"],
        cwd=ROOT,
        env=without(OWN_NAMES),
        capture_output=True,
        text=True,
        timeout=600,
    )  # fmt: skip
    lines = [json.loads(line) for line in said.stdout.splitlines()]
    assert [(line["test"], line["wrong"]) for line in lines] == [(n, []) for n in FEW.split(",")]
    assert all(line["injections"] for line in lines)
    assert (said.returncode, sum(line["lost"] + line["dup"] for line in lines)) == (0, 0)
