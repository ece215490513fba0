"""A real shop's year, from its files to its customers' inboxes; the data lies outside."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BESIDE = ROOT.parent / "shared" / "data" / "online-retail"
FOLDER = Path(os.environ.get("ENGAGE_REAL_SHOP", BESIDE))
LONGEST_SECONDS = 420


@pytest.fixture(scope="module")
def report(tmp_path_factory) -> dict:
    if not (FOLDER / "events.csv.gz").exists():
        pytest.skip(f"no real shop data in {FOLDER}: set ENGAGE_REAL_SHOP to its folder")
    path = tmp_path_factory.mktemp("walk") / "report.json"
    env = {k: v for k, v in os.environ.items() if k not in {"DATABASE_URL", "REDIS_URL"}}
    subprocess.run(
        [sys.executable, "-m", "benchmarks.walk_through", str(FOLDER), "--report", str(path)],
        cwd=ROOT,
        env=env,
        check=True,
        timeout=LONGEST_SECONDS,
        stdout=subprocess.DEVNULL,
    )
    return json.loads(path.read_text())


def step(report: dict, name: str) -> dict:
    [found] = [one for one in report["steps"] if one["name"] == name]
    return found


@pytest.mark.slow
def test_every_row_of_the_files_is_kept(report):
    assert step(report, "load_catalog")["products"] == 3_765
    assert step(report, "load_events")["events"] == 446_268
    assert step(report, "give addresses")["customers"] == 4_063  # 31 only returned


@pytest.mark.slow
def test_ten_customers_get_four_products_each_with_title_and_reason(report):
    shown = step(report, "recommend")["customers_shown"]
    assert len(shown) == 10
    assert all(text.count("because you bought") == 4 for text in shown.values())


@pytest.mark.slow
def test_who_bought_in_the_last_60_days_with_an_address_gets_one_mail(report):
    sent = step(report, "send the campaign")
    assert sent["state"] == "finished"
    assert sent["planned"] == sent["audience"] == sum(sent["states"].values())
    assert sent["states"]["accepted"] == report["captured_mails"] == 2_215
    assert sent["suppressed"] == {"no_address": 178}  # guests


@pytest.mark.slow
def test_every_product_shown_says_its_rung(report):
    sent = step(report, "send the campaign")
    assert sum(sent["products_by_rung"].values()) == 4 * sent["states"]["accepted"]
    assert sum(sent["messages_by_best_rung"].values()) == sent["states"]["accepted"]


@pytest.mark.slow
def test_each_step_stays_within_its_memory(report):
    assert [one["name"] for one in report["steps"] if one["peak_mb"] > 600] == []
