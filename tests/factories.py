"""Rows for tests: valid by default, keyword-only, each says only what the test is about."""

import uuid
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count

from campaigns.models import Campaign, Run, Segment, Slot, Template, Variant
from catalog.models import Catalog, Product
from delivery.models import Message
from engage.collector.models import Source
from engage.lib.ids import uuid7
from engage.profiles.models import Consent, Device, Identity, Profile

NOON = datetime(2026, 11, 2, 12, 0, tzinfo=UTC)
numbers = count(1)


def make_source(*, name: str = "") -> Source:
    return Source.objects.create(name=name or f"source {next(numbers)}")


def make_profile(
    *,
    user_id: str = "",
    anonymous_id: str = "",
    email: str = "",
    opted_in: tuple[str, ...] = (),
    push_token: str = "",
    seen: datetime = NOON,
    **attributes: object,
) -> Profile:
    if email:
        attributes["email"] = email
    profile = Profile.objects.create(attributes=attributes, first_seen=seen, last_seen=seen)
    if user_id or not anonymous_id:
        Identity.objects.create(kind="user", value=user_id or f"u{profile.pk}", profile=profile)
    if anonymous_id:
        Identity.objects.create(kind="anonymous", value=anonymous_id, profile=profile)
    for channel in opted_in:
        Consent.objects.create(profile=profile, channel=channel, status="opted_in", stated_ms=0)
    if push_token:
        Device.objects.create(
            profile=profile, device_id=f"d{profile.pk}", token=push_token, last_seen=seen
        )
    return profile


def make_catalog(*, name: str = "default", products: int = 0) -> Catalog:
    catalog = Catalog.objects.create(name=name, version=1)
    for number in range(1, products + 1):
        make_product(catalog=catalog, item_id=f"p{number}", price=Decimal(number))
    return catalog


def make_product(*, catalog: Catalog, item_id: str = "", **fields: object) -> Product:
    item_id = item_id or f"item-{next(numbers)}"
    defaults: dict[str, object] = {
        "name": f"Product {item_id}",
        "category": "things",
        "price": Decimal("10.00"),
        "currency": "EUR",
        "url": f"https://shop.example/{item_id}",
        "image_url": f"https://shop.example/{item_id}.jpg",
        "version": catalog.version,
    }
    return Product.objects.create(catalog=catalog, item_id=item_id, **(defaults | fields))


def make_segment(*, rule: dict[str, object] | None = None, name: str = "") -> Segment:
    return Segment.objects.create(
        name=name or f"segment {next(numbers)}", rule=rule or {"all": []}
    )


def make_template(*, channel: str = "email", name: str = "", **fields: object) -> Template:
    defaults: dict[str, object] = {
        "subject": "Hello {{ profile.first_name | default: 'you' }}",
        "body": "<p>Hello {{ profile.first_name | default: 'you' }}</p>",
        "title": "Hello",
        "link": "https://shop.example/",
    }
    return Template.objects.create(
        name=name or f"template {next(numbers)}", channel=channel, **(defaults | fields)
    )


def make_slot(*, template: Template, name: str = "picks", **fields: object) -> Slot:
    return Slot.objects.create(template=template, name=name, **fields)


def make_campaign(
    *, channel: str = "email", template: Template | None = None, name: str = "", **fields: object
) -> Campaign:
    campaign = Campaign.objects.create(
        name=name or f"campaign {next(numbers)}",
        channel=channel,
        **({"sender": "Shop <shop@shop.example>"} | fields),
    )
    Variant.objects.create(
        campaign=campaign, template=template or make_template(channel=channel), name="a"
    )
    return campaign


def make_run(*, campaign: Campaign | None = None, at: datetime = NOON, **fields: object) -> Run:
    return Run.objects.create(campaign=campaign or make_campaign(), scheduled_for=at, **fields)


def make_message(*, profile: Profile, now: datetime = NOON, **fields: object) -> Message:
    defaults: dict[str, object] = {
        "id": uuid7(),
        "key": uuid.uuid4(),
        "campaign_id": 1,
        "run_id": 1,
        "variant_id": 1,
        "channel": "email",
        "not_before": now,
        "expires_at": now + timedelta(hours=24),
        "created_at": now,
    }
    return Message.objects.create(profile_id=profile.pk, **(defaults | fields))
