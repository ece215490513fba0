"""What the demo does and checks, step by step. Each step tells in a sentence what it saw."""

import io
import re
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any

from django.core.management import CommandError, call_command

from campaigns import lifecycle
from campaigns.models import Campaign, Run
from delivery import machines, reports
from engage.demo.client import Client
from engage.demo.shop import CATALOG
from engage.lib.clock import now

PATIENCE_SECONDS = 120  # for a campaign to finish on a slow machine
ANA = "shopper-000"
VIEWED, VIEWED_NAME = "garden-02", "Light spade"


class Disagreement(Exception):
    """Something is not as promised; the text says what."""


def expect(condition: object, sentence: str) -> None:
    if not condition:
        raise Disagreement(sentence)


def wait_for(condition: Callable[[], Any], *, seconds: float, what: str) -> Any:
    """The first true answer, asked ten times a second."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if answer := condition():
            return answer
        time.sleep(0.1)
    raise Disagreement(f"{what} did not happen within {seconds:g} seconds")


@dataclass
class Stage:
    """Where the story plays."""

    app: Client  # with the write key
    server: Client  # with the server key
    anyone: Client  # with none
    mailbox: Path  # the captured mails
    campaigns: dict[str, Campaign]
    kill_ingest: Callable[[], None]
    runs: dict[str, Run] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)


def kept_through_a_kill(stage: Stage) -> str:
    """Points 2 and 4: acknowledged events survive the death of the process that stores them."""
    person = f"walker-{uuid.uuid4().hex[:8]}"
    for number in range(20):
        if number == 10:
            stage.kill_ingest()
        event = _viewed(person, "tea-01") | {"messageId": f"{person}-{number}"}
        answer = stage.app.post("/v1/track", event)
        expect(answer.status == 200, f"an event was answered {answer.status}")
    stored = wait_for(
        lambda: _stored(stage, person) if _stored(stage, person) >= 20 else 0,
        seconds=30,
        what="storing 20 acknowledged events after ingest was killed",
    )
    expect(stored == 20, f"20 events were acknowledged, {stored} are stored")
    return "20 events acknowledged while ingest was killed; 20 stored, none twice"


def answered_per_event(stage: Stage) -> str:
    """Point 3: one bad event never fails its batch, a wrong key gets nothing."""
    batch = [_viewed(ANA, "tea-01"), {"type": "track", "event": "Product Viewed"}]
    answer = stage.app.post("/v1/batch", {"batch": batch}).json()
    expect(answer["accepted"] == 1, f"expected 1 accepted, got {answer}")
    expect([one["index"] for one in answer["rejected"]] == [1], f"expected index 1: {answer}")
    refused = Client(stage.app.url, "not-a-key").post("/v1/track", _viewed(ANA, "tea-01"))
    expect(refused.status == 401, f"a wrong key was answered {refused.status}")
    expect(refused.json()["code"] == "invalid_write_key", f"unexpected code: {refused.json()}")
    return "1 of 2 events accepted, the other refused by index; a wrong key gets 401"


def became_one_person(stage: Stage) -> str:
    """Point 4: what was done before logging in belongs to the person who logs in."""
    visitor, person = f"visitor-{uuid.uuid4().hex[:8]}", f"guest-{uuid.uuid4().hex[:8]}"
    before = _viewed("", "kitchen-01") | {"anonymousId": visitor}
    login = {"type": "identify", "userId": person, "anonymousId": visitor, "traits": {"plan": "x"}}
    stage.app.post("/v1/batch", {"batch": [before, login]})
    wait_for(lambda: _stored(stage, person) == 2, seconds=15, what="merging a visitor's events")
    known = stage.server.get(f"/v1/profiles/{person}").json()
    expect(known["profile"]["attributes"].get("plan") == "x", "the trait is missing")
    return "events from before the login are on the person's profile"


def catalog_guarded(stage: Stage) -> str:
    """Point 5: a bad item is refused alone; a file that would empty the catalog is refused."""
    path = f"/v1/catalogs/{CATALOG}/items"
    before = stage.server.get(path).json()["version"]
    bad = {"id": "no-name", "price": "-3"}
    answer = stage.server.put(path, {"items": [bad]}).json()
    expect([one["id"] for one in answer["rejected"]] == ["no-name"], f"not refused: {answer}")
    with tempfile.TemporaryDirectory() as folder:
        torso = Path(folder) / "torso.csv"
        torso.write_text("id,name,price\ntea-01,Jade green tea,8.00\n")
        words = io.StringIO()
        try:
            call_command("load_catalog", str(torso), catalog=CATALOG, stdout=words)
        except CommandError as refusal:
            words.write(str(refusal))
        else:
            raise Disagreement("a file that removes nearly everything was applied")
    after = stage.server.get(path).json()["version"]
    expect(after == before, f"the catalog went from version {before} to {after}")
    return "a bad item was refused alone; a file that would remove 95 of 96 changed nothing"


def recommended_with_reasons(stage: Stage) -> str:
    """Point 6: a list with reasons; what goes out of stock or was bought leaves it."""
    first = _recommended(stage, ANA)
    expect(len(first) == 10, f"expected 10 recommendations, got {len(first)}")
    expect(all(one["reason"] for one in first), "a recommendation has no reason")
    gone, bought = first[0]["id"], first[1]["id"]
    path = f"/v1/catalogs/{CATALOG}/items"
    patched = stage.server.patch(path, {"items": [{"id": gone, "in_stock": False}]})
    expect(patched.json().get("accepted") == 1, f"the patch was answered {patched.json()}")
    _gone_within(stage, gone, seconds=5)
    stage.app.post("/v1/track", _bought(ANA, bought))
    _gone_within(stage, bought, seconds=2)
    stage.server.patch(path, {"items": [{"id": gone, "in_stock": True}]})
    stage.facts["reason"] = first[0]["reason"]
    best = f"{first[0]['name']}: {first[0]['reason']}"
    return f"10 products ({best}); one sold out and one bought are gone"


def campaigns_finished(stage: Stage) -> str:
    """Point 7: every planned message ends in one counted state, and the mails are really there."""
    lines = []
    for channel in ("email", "push"):
        campaign = stage.campaigns[channel]
        lifecycle.launch(campaign, now=now())
        run = stage.runs[channel] = _finished_run(campaign)
        figures = reports.run_figures(run.pk)
        states = figures["states"]
        expect(sum(states.values()) == figures["planned"], f"the sum is off: {figures}")
        expect(states.get("accepted", 0) > 0, f"nothing was accepted: {figures}")
        expect(run.held_out > 0, "nobody was held out")
        lines.append(f"{channel}: {_told(states)}, {run.held_out} held out")
    captured = sum(1 for _ in _mails(stage))
    accepted = reports.run_figures(stage.runs["email"].pk)["states"]["accepted"]
    expect(captured == accepted, f"{accepted} mails were accepted, {captured} captured")
    return "; ".join(lines)


def answered_at_launch(stage: Stage) -> str:
    """Point 8: the in-app slot already knows the event that came in the same request."""
    lifecycle.launch(stage.campaigns["in_app"], now=now())
    person, message = wait_for(
        lambda: _launched(stage), seconds=15, what="the in-app campaign going live"
    )
    items = message["content"]["items"]
    expect(any(VIEWED_NAME in one["reason"] for one in items), f"the view is not used: {items}")
    stage.facts["in_app"] = (person, message)
    return f"{len(items)} products, the first {items[0]['reason']}"


def came_back(stage: Stage) -> str:
    """Point 9: clicks, opens and impressions count once; a GET never unsubscribes."""
    run = stage.runs["email"]
    mail = next((mail for mail in _mails(stage) if "/t/c/" in mail), "")
    time.sleep(machines.SOONEST.total_seconds())  # who clicks sooner is taken for a machine
    clicked = stage.anyone.get(_link(mail, "/t/c/"))
    expect(clicked.status in {301, 302, 303}, f"a click was answered {clicked.status}")
    expect("shop.example" in clicked.location, f"the click leads to {clicked.location}")
    expect(stage.anyone.get(_link(mail, "/t/o/")).status == 200, "the pixel is missing")
    leave = _link(mail, "/u/")
    expect(stage.anyone.get(leave).status == 200, "the unsubscribe page is missing")
    expect(reports.run_figures(run.pk)["unsubscribes"] == 0, "a GET unsubscribed somebody")
    expect(stage.anyone.post(leave).status == 200, "unsubscribing failed")
    figures = reports.run_figures(run.pk)
    expect(figures["clicks"] == 1, f"expected 1 click: {figures}")
    expect(figures["unsubscribes"] == 1, f"expected 1 unsubscribe: {figures}")
    top = reports.top_products(run.pk)
    expect(any(one["clicked"] == 1 for one in top), f"no product has the click: {top}")
    _see_in_app(stage)
    return "1 click on its product, 1 open, GET kept and POST ended the subscription"


Step = Callable[[Stage], str]


def learned_meanwhile(stage: Stage) -> str:
    """Thirty sessions nobody foresaw stand in the lists within a minute, no build in between."""
    one, other = f"new-{uuid.uuid4().hex[:8]}", f"new-{uuid.uuid4().hex[:8]}"
    path = f"/v1/catalogs/{CATALOG}/items"
    items = [{"id": item, "name": f"Newcomer {item}", "in_stock": True} for item in (one, other)]
    answer = stage.server.put(path, {"items": items})
    expect(answer.json().get("accepted") == 2, f"the upload was answered {answer.json()}")
    for number in range(30):
        for item in (one, other):
            accepted = stage.app.post("/v1/track", _viewed(f"{one}-{number}", item))
            expect(accepted.status == 200, f"an event was answered {accepted.status}")
    began = time.monotonic()
    wait_for(
        lambda: _neighbours(stage, one)[:1] == [(other, "similar")],
        seconds=60,
        what="a pattern of 30 sessions becoming a list",
    )
    seconds = time.monotonic() - began
    gone = [{"id": item, "in_stock": False} for item in (one, other)]
    stage.server.patch(path, {"items": gone})  # no mail of the demo shall show them
    return f"30 sessions with two newcomers made them similar products after {seconds:.0f} s"


STORY: tuple[tuple[str, Step], ...] = (
    ("collector", answered_per_event),
    ("runner", kept_through_a_kill),
    ("data-store", became_one_person),
    ("catalog", catalog_guarded),
    ("recommendations", recommended_with_reasons),
    ("freshness", learned_meanwhile),
    ("campaigns", campaigns_finished),
    ("app launch", answered_at_launch),
    ("the loop", came_back),
)


def _finished_run(campaign: Campaign) -> Run:
    finished = Run.objects.filter(campaign=campaign, state=Run.State.FINISHED)
    run: Run = wait_for(
        finished.first, seconds=PATIENCE_SECONDS, what=f"finishing “{campaign.name}”"
    )
    return run


def _launched(stage: Stage) -> tuple[str, dict[str, Any]] | None:
    """Somebody new opens the app with one event in hand: who, and this demo's message for them."""
    person = f"launcher-{uuid.uuid4().hex[:8]}"
    body = {"userId": person, "device": {"type": "ios"}, "batch": [_viewed(person, VIEWED)]}
    answer = stage.app.post("/v1/app-launch", body).json()
    expect(answer["accepted"] == 2, f"expected the event and App Launched accepted: {answer}")
    mine = str(stage.campaigns["in_app"].pk)
    found = [one for one in answer["messages"] if mine in one["id"] and one["content"]["items"]]
    return (person, found[0]) if found else None


def _see_in_app(stage: Stage) -> None:
    person, message = stage.facts["in_app"]
    viewed = {
        "type": "track",
        "userId": person,
        "event": "Notification Viewed",
        "messageId": f"seen-{person}",
        "properties": {"token": message["token"]},
    }
    stage.app.post("/v1/track", viewed)
    stage.app.post("/v1/track", viewed)
    campaign = stage.campaigns["in_app"]
    wait_for(
        lambda: reports.campaign_figures(campaign.pk)["impressions"] == 1,
        seconds=15,
        what="counting one in-app impression",
    )


def _viewed(person: str, item: str) -> dict[str, Any]:
    event = {"type": "track", "event": "Product Viewed", "properties": {"product_id": item}}
    return event | ({"userId": person} if person else {})


def _bought(person: str, item: str) -> dict[str, Any]:
    order = {"order_id": uuid.uuid4().hex, "products": [{"product_id": item, "quantity": 1}]}
    return {"type": "track", "event": "Order Completed", "userId": person, "properties": order}


def _stored(stage: Stage, person: str) -> int:
    answer = stage.server.get(f"/v1/profiles/{person}")
    return len(answer.json()["events"]) if answer.status == 200 else 0


def _recommended(stage: Stage, person: str) -> list[dict[str, Any]]:
    answer = stage.server.get("/v1/recommendations", userId=person, n=10)
    expect(answer.status == 200, f"recommendations were answered {answer.status}")
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


def _neighbours(stage: Stage, item: str) -> list[tuple[str, str]]:
    answer = stage.server.get("/v1/recommendations", itemId=item, strategy="similar", n=3)
    return [(one["id"], one["source"]) for one in answer.json().get("items", ())]


def _gone_within(stage: Stage, item: str, *, seconds: float) -> None:
    wait_for(
        lambda: all(one["id"] != item for one in _recommended(stage, ANA)),
        seconds=seconds,
        what=f"{item} leaving the recommendations",
    )


def _told(states: dict[str, int]) -> str:
    return ", ".join(f"{count} {state}" for state, count in states.items() if count)


def _mails(stage: Stage) -> Iterator[str]:
    """The HTML of every captured mail, newest first."""
    for path in sorted(stage.mailbox.glob("*.eml"), reverse=True):
        mail = message_from_bytes(path.read_bytes(), policy=policy.default)
        body = mail.get_body(("html",))
        yield body.get_content() if body else ""


def _link(mail: str, path: str) -> str:
    found = re.search(rf'"(https?://[^"]*{re.escape(path)}[^"]*)"', mail)
    if found is None:
        raise Disagreement(f"the mail has no link to {path}")
    return found.group(1).replace("&amp;", "&")
