"""The list of faults, as `docs/reliability.md` shows it.

These modules are imported before Django is set up, which needs the servers of the installation:
what they want of Engage they import where they use it.
"""

import random
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from tests.faults.checker import Found
from tests.faults.harness import Installation

Play = Callable[[Installation, random.Random], Found]


@dataclass(frozen=True)
class Fault:
    """`play` is one round: break something, wait, and say what was found."""

    number: str
    title: str
    passes: str  # the pass figure in words
    play: Play
    rounds: int = 5
    env: Mapping[str, str] = field(default_factory=dict)  # of the programs
    needs_root: bool = False  # for a small file system of its own


FAULTS: dict[str, Fault] = {}


def fault(
    number: str,
    title: str,
    *,
    passes: str,
    rounds: int = 5,
    needs_root: bool = False,
    **env: str,
):
    def add(play: Play) -> Play:
        FAULTS[number] = Fault(number, title, passes, play, rounds, env, needs_root)
        in_order = sorted(FAULTS, key=lambda name: [int(n) for n in re.findall(r"\d+", name)])
        FAULTS.update({name: FAULTS.pop(name) for name in in_order})
        return play

    return add
