"""Recommendations for other systems. Mounted with server-key auth by `engage/urls.py`."""

from collections.abc import Sequence
from typing import Any, Final

import msgspec
from django.http import HttpRequest
from ninja import Router

from catalog import filters, snapshot
from catalog.errors import Problem
from catalog.filters import Filter
from engage.lib import clock
from engage.lib.errors import InvalidInput
from engage.profiles import activity, identity, people
from recommendations import audience, context, policy, registry, serve
from recommendations import rows as pages
from recommendations.errors import InvalidRanking
from recommendations.people_alike import COLD
from recommendations.policy import Ranking

router = Router(tags=["recommendations"])
MOST: Final = 100
MAX_CHARACTERS: Final = 10_000  # of a filter or a ranking


@router.get("/recommendations", summary="Recommend products to a person")
def get_recommendations(
    request: HttpRequest,
    userId: str = "",
    anonymousId: str = "",
    strategy: str = "personal",
    n: int = 10,
    filter: str = "",
    catalog: str = "default",
    itemId: str = "",
    explore: float = 0.0,
    ranking: str = "",
    without: str = "",
    repeats: bool = False,
) -> dict[str, Any]:
    """The best products for a person now, each with what it is shown for.

    Somebody unknown, or nobody named, gets what is popular. `strategy` is the first rung of the
    ladder; `similar` and `next` are the neighbours of `itemId`. `filter` is JSON in the language
    of the catalog's filters; its `trigger` is `itemId`, else the product touched last. `short`
    says that fewer than `n` were found. `explore` (0 to 0.5) leaves the last places to chance with
    that probability; `p` of each item says how likely it was to stand where it does. `ranking` is
    JSON: variety, caps, boosts and pins. `without` leaves out what is in the `cart`, the
    `trigger`, or both: `cart,trigger`. `repeats` offers again what the person had before;
    purchases are not left out then.
    """
    check(userId=userId, anonymousId=anonymousId, catalog=catalog, itemId=itemId)
    if not 1 <= n <= MOST:
        raise InvalidInput(f"n is {n}, expected 1 to {MOST}.")
    products = snapshot.current(catalog)
    rule = parse_filter(filter, products)
    person = meet(user_id=userId, anonymous_id=anonymousId)
    filled = serve.recommend(
        [person],
        catalog=catalog,
        n=n,
        strategy=strategy,
        filter=rule,
        item=itemId,
        contexts=[find_context(person, rule)],
        explore=serve.Exploration(explore, f"api {strategy}") if explore else None,
        ranking=parse_ranking(ranking, products, n=n),
        without=parse_without(without),
        repeats=repeats,
        exclude_events={} if repeats else None,
        now=clock.now(),
    )
    items = list_items(filled, catalog=catalog, filter=rule)
    model = registry.live(catalog)
    return {
        "items": items,
        "strategy": strategy,
        "build": model and model.build_id,
        "short": len(items) < n,
    }


@router.get("/rows", summary="Assemble a page of rows for a person")
def get_rows(
    request: HttpRequest,
    userId: str = "",
    anonymousId: str = "",
    rows: int = 6,
    n: int = 10,
    filter: str = "",
    catalog: str = "default",
) -> dict[str, Any]:
    """A page as a shop's start page shows it: rows with a title, each with its evidence.

    At most `rows` rows of `n` products, the row that fits best first; no product stands twice.
    Rows with fewer than three products are left out. Somebody unknown gets what is popular, what
    sells best and what is new.
    """
    check(userId=userId, anonymousId=anonymousId, catalog=catalog)
    rule = parse_filter(filter, snapshot.current(catalog))
    person = meet(user_id=userId, anonymous_id=anonymousId)
    found = pages.assemble(
        person,
        catalog=catalog,
        rows=rows,
        n=n,
        filter=rule,
        context=find_context(person, rule),
        now=clock.now(),
    )
    model = registry.live(catalog)
    return {
        "rows": [
            {
                "kind": row.kind,
                "title": row.title,
                "why": row.why,
                "evidence": row.evidence,
                "fit": round(row.fit, 6),
                "items": list_items([row.filled], catalog=catalog, filter=rule),
            }
            for row in found
        ],
        "build": model and model.build_id,
    }


@router.get("/audience", summary="Find who wants a product")
def get_audience(
    request: HttpRequest, itemId: str, n: int = 100, catalog: str = "default"
) -> dict[str, Any]:
    """The people a product would be recommended to, the keenest `n` by name.

    `thresholds` says how many have at least the score of the best tenth, of the best two tenths
    and so on. Who bought it, or a variant, in the last year is left out and counted as `bought`.
    All stored events are read, which takes a few seconds at a million people.
    """
    check(itemId=itemId, catalog=catalog)
    found = audience.find(itemId, catalog=catalog, n=n, now=clock.now())
    return {
        "itemId": found.item,
        "profiles": found.profiles,
        "bought": found.bought,
        "thresholds": [one._asdict() for one in found.thresholds],
        "top": [
            {"id": one.name, "score": round(one.score, 6), "because": one.because}
            for one in found.top
        ],
        "build": found.build,
    }


def check(**parameters: str) -> None:
    for name, value in parameters.items():
        if "\x00" in value or len(value) > 255:
            raise InvalidInput(f"{name} has a NUL character or more than 255 characters.")


def meet(*, user_id: str, anonymous_id: str) -> serve.Who:
    """The person behind the ids, with what they did a moment ago."""
    if not user_id and not anonymous_id:
        return serve.Who(None, [])
    profile_id = identity.find_profile_id(
        user_id=user_id or None, anonymous_id=anonymous_id or None
    )
    touches = activity.recent(profile_id, user_id=user_id, anonymous_id=anonymous_id)
    return serve.Who(profile_id, touches)


def parse_filter(text: str, products: snapshot.Snapshot) -> Filter | None:
    if not text:
        return None
    rule = filters.parse(read_json("filter", text), types=products.types)
    strangers = context.list_strangers(rule)
    if strangers:
        roots = ", ".join(context.ROOTS)
        raise InvalidInput(f"filter: {strangers[0][:80]!r} is not known; contexts are {roots}.")
    for reference in sorted(rule.references):
        root, _, column = reference.partition(".")
        if root == "trigger" and column not in products.types:
            raise InvalidInput(f"filter: a trigger has no column {column[:80]!r}.")
    return rule


def parse_ranking(text: str, products: snapshot.Snapshot, *, n: int) -> Ranking | None:
    found = policy.parse(read_json("ranking", text)) if text else None
    if found is None:
        return None
    problems = policy.list_misfits(found, types=products.types, known=products.index)
    problems += [
        Problem("pins", f"place {place} is beyond the {n} that are asked for")
        for place, _ in found.pins
        if place > n
    ]
    if found.fatigue is not None:
        problems.append(Problem("fatigue", "only messages know what was shown before"))
    if problems:
        raise InvalidRanking(problems)
    return found


def parse_without(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    unknown = [name for name in names if name not in serve.LEFT_OUT]
    if unknown:
        known = ", ".join(serve.LEFT_OUT)
        raise InvalidInput(f"without: {unknown[0][:80]!r} is not known; expected {known}.")
    return names


def read_json(name: str, text: str) -> object:
    if len(text) > MAX_CHARACTERS:
        raise InvalidInput(f"{name} is longer than {MAX_CHARACTERS:,} characters.")
    try:
        return msgspec.json.decode(text)  # strict: no NaN, no half of a surrogate pair
    except (msgspec.DecodeError, RecursionError) as exc:
        raise InvalidInput(f"{name} is not JSON: {exc}") from exc


def find_context(person: serve.Who, rule: Filter | None) -> serve.Context:
    """Attributes are looked up where the filter refers to them, or little else is known."""
    wanted = len(person.touches) < COLD or (
        rule is not None and any(path.startswith("profile.") for path in rule.references)
    )
    if not wanted or person.profile_id is None:
        return serve.Context()
    known = people.list_attributes([person.profile_id])
    return serve.Context(profile=known.get(person.profile_id, {}))


def list_items(
    filled: Sequence[serve.Filled], *, catalog: str, filter: Filter | None = None
) -> list[dict[str, Any]]:
    """The cards of the one person's picks, with what each was picked for."""
    [shown] = serve.list_cards(filled, catalog=catalog, filter=filter)
    return [
        {
            **card,
            "score": round(pick.score, 6),
            "rank": rank,
            "rung": pick.rung,
            "source": pick.source,
            "reason": pick.reason,
            **serve.tell(pick.chance),
        }
        for rank, (pick, card) in enumerate(shown, start=1)
    ]
