"""Fills an installation with the demo shop: keys, catalog, history, people, campaigns."""

import secrets
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from django.contrib.auth import get_user_model
from django.core.management import call_command

from campaigns.models import Campaign, Segment, Slot, Template, Variant
from campaigns.templates import save_template
from engage.collector import access
from engage.demo import shop
from engage.demo.client import Client
from engage.runner.errors import StartFailed

IDENTIFY_BATCH = 250  # people per request: well below 500 KB
STORE_SECONDS = 60.0

MAIL = """<mjml>
  <mj-head>
    <mj-attributes><mj-all font-family="Helvetica, Arial, sans-serif" /></mj-attributes>
  </mj-head>
  <mj-body background-color="#f4f4f5">
    <mj-section background-color="#ffffff">
      <mj-column>
        <mj-text font-size="22px">Hello {{ profile.first_name | default: "there" }},</mj-text>
        <mj-text>four things chosen for you today:</mj-text>
      </mj-column>
    </mj-section>
    <mj-section background-color="#ffffff">
      <mj-column>
        <mj-text line-height="20px">
          {% for item in slots.picks %}
          <p style="margin: 16px 0">
            <a href="{{ item.link }}"><img src="{{ item.image_url }}" width="64" height="64"
              align="left" style="margin-right: 14px" alt=""></a>
            <a href="{{ item.link }}"><strong>{{ item.name }}</strong></a><br>
            {{ item.price }} {{ item.currency }}<br><small>{{ item.reason }}</small>
          </p>
          {% endfor %}
        </mj-text>
      </mj-column>
    </mj-section>
    <mj-section>
      <mj-column>
        <mj-text font-size="11px" color="#71717a">
          <a href="{{ unsubscribe_url }}">Unsubscribe</a>
        </mj-text>
      </mj-column>
    </mj-section>
  </mj-body>
</mjml>
"""
RULE = {"did": "Product Viewed", "at_least": 2, "within_days": shop.DAYS}


@dataclass(frozen=True, slots=True)
class Keys:
    write: str
    server: str


@dataclass(frozen=True, slots=True)
class Login:
    name: str
    password: str


def make_login() -> Login:
    """An admin user for this demo; each start gives it a new password."""
    login = Login("demo", secrets.token_urlsafe(12))
    user, _ = get_user_model().objects.get_or_create(
        username=login.name, defaults={"is_staff": True, "is_superuser": True}
    )
    user.set_password(login.password)
    user.save()
    return login


def make_keys() -> Keys:
    return Keys(
        write=access.create_key("Demo app", kind="write"),
        server=access.create_key("Demo server", kind="server"),
    )


def load_shop(folder: Path, *, image_base: str, now: datetime) -> None:
    """The catalog and the history, by the commands that a shop would use.

    The history file is made once: a second start loads the same rows and stores none of them.
    """
    folder.mkdir(parents=True, exist_ok=True)
    shop.write_csv(folder / "catalog.csv", shop.products(image_base))
    if not (folder / "history.csv").exists():
        catalog = shop.products(image_base)
        shop.write_csv(folder / "history.csv", shop.history(shop.people(), catalog, until=now))
    call_command("load_catalog", str(folder / "catalog.csv"), catalog=shop.CATALOG)
    call_command("load_events", str(folder / "history.csv"))


def identify_people(client: Client) -> int:
    """Names, addresses, consents and phones, by the SDK endpoint; the number accepted."""
    accepted = 0
    everybody = shop.people()
    for start in range(0, len(everybody), IDENTIFY_BATCH):
        batch = [_identify(person) for person in everybody[start : start + IDENTIFY_BATCH]]
        accepted += client.post("/v1/batch", {"batch": batch}).json()["accepted"]
    return accepted


def wait_until_stored(app: Client, server: Client) -> None:
    """Ingest works in order: when the newest event is there, so is everything before it."""
    last = f"last-{secrets.token_hex(4)}"
    app.post("/v1/track", {"userId": last, "event": "Demo Filled"})
    deadline = time.monotonic() + STORE_SECONDS
    while server.get(f"/v1/profiles/{last}").status != 200:
        if time.monotonic() > deadline:
            raise StartFailed("The demo's events are not stored; see the log.")
        time.sleep(0.1)


def make_campaigns(*, now: datetime) -> dict[str, Campaign]:
    """One campaign per channel, in draft; named by the time: a second start adds new ones."""
    segment, _ = Segment.objects.update_or_create(
        name="Demo: people who looked around", defaults={"rule": RULE}
    )
    stamp = f"{now:%Y-%m-%d %H:%M:%S}"
    return {
        "email": _campaign(f"Demo mail {stamp}", _mail_template(), segment, control_percent=10),
        "push": _campaign(f"Demo push {stamp}", _push_template(), segment, control_percent=10),
        "in_app": _campaign(
            f"Demo in-app {stamp}",
            _in_app_template(),
            None,
            schedule=Campaign.Schedule.LAUNCH,
            per_day=100,
            lifetime=1000,
        ),
    }


def _identify(person: shop.Person) -> dict[str, object]:
    subscriptions = {"email": True} if person.email_consent else {}
    context = (
        {
            "device": {
                "id": f"phone-{person.user_id}",
                "type": "android",
                "token": person.push_token,
            }
        }
        if person.push_token
        else {}
    )
    return {
        "type": "identify",
        "userId": person.user_id,
        "traits": {
            "email": person.email,
            "first_name": person.first_name,
            "country": person.country,
            "subscriptions": subscriptions,
        },
        "context": context,
    }


def _campaign(
    name: str, template: Template, segment: Segment | None, **fields: object
) -> Campaign:
    campaign = Campaign.objects.create(
        name=name,
        channel=template.channel,
        segment=segment,
        sender="Demo shop <shop@demo.example>" if template.channel == "email" else "",
        **fields,
    )
    Variant.objects.create(campaign=campaign, template=template, name="a")
    return campaign


def _mail_template() -> Template:
    template = _template("Demo mail", "email")
    template.subject = "{{ profile.first_name | default: 'Hello' }}, chosen for you"
    template.body = MAIL
    _with_slot(template, maximum=4, exclude_events={"Order Completed": 365})
    return template


def _push_template() -> Template:
    template = _template("Demo push", "push")
    template.title = "{{ slots.picks[0].name }}"
    template.body = "{{ slots.picks[0].reason }}"
    template.link = "{{ slots.picks[0].link }}"
    _with_slot(template, maximum=1, on_short=Slot.Short.DROP_MESSAGE)
    return template


def _in_app_template() -> Template:
    template = _template("Demo in-app", "in_app")
    template.title = "Welcome back"
    template.body = "For you today"
    template.button = "Show me"
    template.link = "https://shop.example/for-you"
    _with_slot(template, maximum=3)
    return template


def _template(name: str, channel: str) -> Template:
    return Template.objects.filter(name=name).first() or Template(name=name, channel=channel)


def _with_slot(template: Template, **fields: object) -> None:
    save_template(template)
    Slot.objects.update_or_create(template=template, name="picks", defaults=fields)
