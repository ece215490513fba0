"""Faults that the ordinary tests play already: their tests are run, and counted."""

import re
import subprocess
import sys
from random import Random

from tests.faults.checker import Found
from tests.faults.faults import fault
from tests.faults.harness import OWN_NAMES, ROOT, Installation, without


def run_tests(*files: str) -> Found:
    """On servers of their own, without what this process set for its installation."""
    said = subprocess.run(
        [sys.executable, "-m", "pytest", *files],
        cwd=ROOT,
        env=without(OWN_NAMES),
        capture_output=True,
        text=True,
    )
    told = re.findall(r"(\d+) (passed|failed|error)", said.stdout[-300:])
    counted = {word: int(number) for number, word in told}
    found = Found()
    found.note("tests", counted.get("passed", 0))
    found.expect(
        said.returncode == 0 and counted.get("passed"), f"tests failed: {said.stdout[-500:]}"
    )
    return found


@fault(
    "F-19",
    "events five times over, shuffled, days late, from the future",
    passes="each stored once, the people those of the definition (hypothesis)",
    rounds=1,
)
def disorder(house: Installation, rng: Random) -> Found:
    return run_tests("tests/engage/profiles/test_order.py", "tests/engage/profiles/test_store.py")


@fault(
    "F-22",
    "artifacts cut at every hundredth, a bit flipped, swapped, empty, a header of 10¹² rows",
    passes="a wrong one served 0 times; the last good one, then popularity, instead",
    rounds=1,
)
def damaged_artifacts(house: Installation, rng: Random) -> Found:
    return run_tests("tests/recommendations/test_damage.py")
