"""What a provider does wrong, on demand."""

import json
import random
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Fault:
    """`action` for whom `match` is part of the address, `times` times, at a share of the calls."""

    action: str
    match: str = ""
    times: int = 1_000_000_000
    share: float = 1.0
    seconds: float = 0.0  # before answering
    retry_after: str = ""


@dataclass
class Faults:
    rules: list[Fault] = field(default_factory=list)
    path: Path | None = None  # read again for every call, so that a test can change its mind
    rng: random.Random = field(default_factory=lambda: random.Random(1))
    lock: threading.Lock = field(default_factory=threading.Lock)

    def play(self, action: str, **fields: object) -> Fault:
        fault = Fault(action, **fields)
        self.rules.append(fault)
        return fault

    def stop(self) -> None:
        self.rules.clear()

    def take(self, address: str, *, only: str = "", but: str = "") -> Fault | None:
        """Of actions that begin with `only`, or do not with `but`: a call may have two parts.

        In the first, what goes well is no call yet.
        """
        with self.lock:
            fault = self._choose(address, only, but)
            if self.path is not None and (fault or not only):
                self._write_down(address, fault.action if fault else "")
            return fault

    def _choose(self, address: str, only: str, but: str) -> Fault | None:
        for fault in (*self.rules, *self._from_file()):
            if not fault.action.startswith(only) or (but and fault.action.startswith(but)):
                continue
            if fault.match in address and fault.times and self.rng.random() < fault.share:
                fault.times -= 1
                return fault
        return None

    def _write_down(self, address: str, action: str) -> None:
        """Every call with its time, also those that were refused, beside the file of the rules."""
        line = {"at": time.time(), "to": address, "fault": action}
        with self.path.with_suffix(".calls").open("a") as calls:
            calls.write(json.dumps(line) + "\n")

    def _from_file(self) -> list[Fault]:
        if self.path is None or not self.path.exists():
            return []
        return [Fault(**rule) for rule in json.loads(self.path.read_text())]
