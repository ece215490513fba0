"""One row of everything, for walking over all pages of the admin."""

import uuid
from datetime import time, timedelta

from catalog.models import Upload
from delivery import suppression
from delivery.models import Cap, Interaction, QuietHours, SendRate, Topic, WebhookEndpoint
from engage.collector.models import Quarantined, SdkKey
from engage.lib.ids import uuid7
from engage.profiles import partitions
from engage.profiles.models import Erasure, Event, Merge, Profile
from recommendations.models import ArmResult, Build, HandPicked, Ranker
from tests.factories import (
    NOON,
    make_campaign,
    make_catalog,
    make_message,
    make_profile,
    make_run,
    make_segment,
    make_slot,
    make_source,
    make_template,
)

HOSTILE = "<script>alert(1)</script>"


def make_everything() -> Profile:
    """A shop in which every table that the admin shows has a row; texts try to be markup."""
    profile = make_profile(
        user_id="ada",
        anonymous_id="anon-1",
        email="ada@mail.example",
        opted_in=("email", "push"),
        push_token="token-1",
        first_name=HOSTILE,
    )
    source = make_source(name="Shop app")
    SdkKey.objects.create(source=source, kind="write", digest="d" * 64, hint="wk_12")
    Quarantined.objects.create(
        entry_id="1-0",
        source_id=source.pk,
        received_at=NOON,
        form="segment/batch",
        body=b"{",
        error=f"broken {HOSTILE}",
    )
    make_event(profile, source_id=source.pk)
    Merge.objects.create(winner_id=profile.pk, loser_id=999, reason="identify")
    Erasure.objects.create(profile_id=998, finished_at=NOON)
    make_products()
    make_sent(profile)
    Cap.objects.create(name="two a day", most=2)
    QuietHours.objects.create(begin=time(22), end=time(8))
    Topic.objects.create(name="news", title=HOSTILE)
    SendRate.objects.create(scope="email", per_minute=6_000)
    WebhookEndpoint.objects.create(name=HOSTILE, url="https://hooks.shop.example/")
    suppression.suppress("gone@mail.example", channel="email", reason="bounced", source="smtp")
    return profile


def make_event(profile: Profile, *, source_id: int = 1, **fields: object) -> Event:
    partitions.ensure([partitions.month_of(NOON)])
    defaults: dict[str, object] = {
        "ts": NOON,
        "id": uuid7(),
        "source_id": source_id,
        "message_id": str(uuid.uuid4()),
        "kind": "track",
        "name": "Product Viewed",
        "properties": {"product_id": "p1", "note": HOSTILE},
        "received_at": NOON,
    }
    return Event.objects.create(profile_id=profile.pk, **(defaults | fields))


def make_products() -> None:
    catalog = make_catalog(products=3)
    catalog.products.filter(item_id="p1").update(name=HOSTILE, extra={"colour": "red"})
    report = {"added": 3, "changed": 0, "removed": 0, "refused": 1}
    Upload.objects.create(
        catalog=catalog, file_name="products.csv", report=report, state="applied"
    )
    Build.objects.create(
        catalog="default", state="live", quality={"recall": 0.218}, data={"interactions": 1234},
        finished_at=NOON, published_at=NOON,
    )  # fmt: skip
    HandPicked.objects.create(catalog="default", item_ids=["p1", "p2"])
    ArmResult.objects.create(catalog="default", arm="cold", shown=9, clicked=1, counted_at=NOON)
    Ranker.objects.create(
        catalog="default", state="refused", reason=HOSTILE, weights={"price": 0.7},
        trained_at=NOON,
        figures={"impressions": 12_000, "clicks": 300, "ndcg": 0.5, "ndcg_as_shown": 0.6},
    )  # fmt: skip


def make_sent(profile: Profile) -> None:
    template = make_template(name="Weekly picks")
    make_slot(template=template)
    segment = make_segment(rule={"did": "Product Viewed", "at_least": 1, "within_days": 30})
    campaign = make_campaign(
        name="Weekly", template=template, segment=segment, state="active", launched_at=NOON
    )
    make_campaign(name="Draft", segment=segment)
    run = make_run(campaign=campaign, state="sending", audience=1, planned=1, planned_at=NOON)
    message = make_message(
        profile=profile,
        campaign_id=campaign.pk,
        run_id=run.pk,
        variant_id=campaign.variants.get().pk,
        state="accepted",
        items=[{"slot": "picks", "item": "p1", "rank": 1, "rung": "personal", "source": "p2"}],
        finished_at=NOON,
    )
    Interaction.objects.create(
        profile_id=profile.pk, id=uuid7(), key=uuid.uuid4(), message_id=message.id,
        campaign_id=campaign.pk, run_id=run.pk, variant_id=message.variant_id, channel="email",
        kind="click", item_id="p1", position=1, ts=NOON + timedelta(minutes=5),
    )  # fmt: skip
