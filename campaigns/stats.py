"""The figures of a run: what became of its messages, per variant and per product."""

from collections import Counter, defaultdict
from typing import Any

from django.db.models import Count, Q

from campaigns.models import Run, Slot
from catalog.models import Product
from delivery import reports
from delivery.models import Interaction, Message

Kind = Interaction.Kind
TOP_PRODUCTS = 10


def run_page(run: Run, *, machines: bool = False) -> dict[str, Any]:
    """Everything the page of a run shows.

    `figures` are delivery's: planned, by state, by reason, impressions, opens, clicks. The control
    group stands beside them: it was held out, so it has no messages. `machines`: what programs
    did counts as if people had done it.
    """
    return {
        "run": run.pk,
        "campaign": run.campaign_id,
        "state": run.state,
        "audience": run.audience,
        "held_out": run.held_out,
        "figures": reports.run_figures(run.pk, machines=machines),
        "variants": list_variants(run, machines=machines),
        "products": list_products(run, limit=TOP_PRODUCTS, machines=machines),
        "short": reports.short_slots(run.pk),
    }


def list_variants(run: Run, *, machines: bool = False) -> list[dict[str, Any]]:
    """Per variant: messages, accepted, and how many messages were opened, clicked, left.

    A message clicked twice counts once; what machines did is left out.
    """
    messages: dict[int, Counter[str]] = defaultdict(Counter)
    counted = Message.objects.filter(run_id=run.pk).values_list("variant_id", "state")
    for variant_id, state, count in counted.annotate(count=Count("*")).order_by():
        messages[variant_id][state] = count
    deeds: dict[int, Counter[str]] = defaultdict(Counter)
    done = Interaction.objects.filter(run_id=run.pk)
    if not machines:
        done = done.filter(machine=False)
    distinct = done.values_list("variant_id", "kind").annotate(
        count=Count("message_id", distinct=True)
    )
    for variant_id, kind, count in distinct.order_by():
        deeds[variant_id][kind] = count
    return [
        {
            "variant": variant.pk,
            "name": variant.name,
            "template": variant.template.name,
            "messages": messages[variant.pk].total(),
            "accepted": messages[variant.pk][Message.State.ACCEPTED],
            "impressions": deeds[variant.pk][Kind.IMPRESSION],
            "opens": deeds[variant.pk][Kind.OPEN],
            "clicks": deeds[variant.pk][Kind.CLICK],
            "unsubscribes": deeds[variant.pk][Kind.UNSUBSCRIBE],
        }
        for variant in run.campaign.variants.select_related("template").order_by("pk")
    ]


def list_products(run: Run, *, limit: int, machines: bool = False) -> list[dict[str, Any]]:
    """The products shown most, with their titles, also those that left the catalog since."""
    top = reports.top_products(run.pk, limit=limit, machines=machines)
    said = Q(template__variants__campaign=run.campaign_id) | Q(
        template__campaigns_at_night=run.campaign_id
    )
    catalogs = Slot.objects.filter(said).values("catalog")
    known = {
        product.item_id: product
        for product in Product.objects.filter(
            catalog__name__in=catalogs, item_id__in=[line["item"] for line in top]
        )
    }
    return [{**line, **_title(known.get(line["item"]))} for line in top]


def _title(product: Product | None) -> dict[str, str]:
    if product is None:
        return {"name": "", "image_url": "", "url": ""}
    return {"name": product.name, "image_url": product.image_url, "url": product.url}
