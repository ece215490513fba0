"""Writes the table of docs/reliability.md from the newest line of each fault."""

import json
from pathlib import Path
from typing import Any

from tests.faults.faults import FAULTS
from tests.faults.harness import ROOT

PAGE = ROOT / "docs" / "reliability.md"
RESULTS = ROOT / "tests" / "faults" / "results.jsonl"
BEGIN, END = "<!-- table: begin -->", "<!-- table: end -->"
HEAD = (
    "| | what is broken | must hold | rounds, injections | lost | dup | unknown, may be "
    "| slowest end | more | passed | day |\n"
    "| --- | --- | --- | --- | ---: | ---: | ---: | ---: | --- | --- | --- |\n"
)
OWN = {  # figures of single faults, as words
    "longest_ack_gap_s": "longest time without an acknowledgement {} s",
    "times_undisturbed": "{} × the undisturbed time",
    "served_after_s": "served {} s after it was back",
    "latest_s": "latest start {} s after its time",
    "last_call_after_pause_s": "last call {} s after a pause",
    "longest_call_s": "longest call {} s",
    "other_channel_p95_ratio": "p95 of the other channel × {}",
    "of_the_rate": "{} of the rate at most, in 10 s",
    "calls_per_message": "{} calls a message",
    "worker_grew_mb": "a worker grew by {} MB",
    "unknown_while_frozen": "{} unknown while it was frozen",
    "unknown_after_waking": "{} after it woke",
    "late_answers": "{} late answers told of what had gone out",
    "of_the_undisturbed_speed": "the others {} × as fast as undisturbed",
    "second_calls": "{} second calls",
    "runs_that_rails_stopped": "{} runs of a round stopped themselves and were resumed",
    "fenced_answers": "{} fenced answers",
    "tasks_given_again": "{} tasks came again",
    "calls_after_commit": "at most {} calls after the commit",
    "last_call_after_commit_s": "the last after {} s",
    "receipts": "{} receipts",
    "before_their_answer": "{} before the answer they follow",
    "forged_requests": "{} forged requests",
    "others_before_the_first_lease_ended": "{} of the others went before the first lease ended",
    "others_all_accepted_s": "all of them in {} s, with leases of 30 s",
    "tests": "{} tests",
}


def read(path: Path = RESULTS) -> dict[str, dict[str, Any]]:
    """The newest line of each fault that is still in the list, in the order of the list."""
    lines = path.read_text().splitlines() if path.exists() else []
    newest = {line["test"]: line for line in map(json.loads, lines)}
    return {number: newest[number] for number in FAULTS if number in newest}


def add(line: dict[str, Any], path: Path = RESULTS) -> None:
    """In place of the former line of the same fault."""
    lines = read(path) | {line["test"]: line}
    path.write_text("".join(json.dumps(lines[n]) + "\n" for n in FAULTS if n in lines))


def write() -> None:
    text = PAGE.read_text()
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    rows = "".join(map(row, read().values()))
    PAGE.write_text(f"{before}{BEGIN}\n\n{HEAD}{rows}\n{END}{after}")


def row(line: dict[str, Any]) -> str:
    more = "; ".join(words.format(line[name]) for name, words in OWN.items() if name in line)
    verdict = "yes" if line["passed"] else "**no**: " + "; ".join(line["wrong"][:2])
    slowest = f"{line['recover_s_max']} s" if line["recover_s_max"] else ""
    unknown = f"{line['unknown']} of {line['unknown_bound']}" if line["planned"] else ""
    cells = [
        line["test"], FAULTS[line["test"]].title, FAULTS[line["test"]].passes,
        f"{line['rounds']}, {line['injections']}", line["lost"], line["dup"], unknown, slowest,
        more, verdict.replace("|", "/"), line["day"],
    ]  # fmt: skip
    return f"| {' | '.join(map(str, cells))} |\n"
