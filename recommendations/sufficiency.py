"""Which strategy a shop's data is enough for, and what the next one still lacks.

Every threshold is a rule of thumb with a reason beside it, not a law: below it a strategy works,
but what it says is more chance than knowledge.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from recommendations.algorithms.choosing import LEAST_PROFILES

LEAST_IMPRESSIONS: Final = 10_000  # for a ranker, see below
LEAST_CLICKS: Final = 200
LEARNED: Final = "Learned from what was shown"


@dataclass(frozen=True, slots=True)
class Need:
    fact: str
    least: float
    words: str  # after "needs 1,240 more"


@dataclass(frozen=True, slots=True)
class Strategy:
    name: str
    needs: tuple[Need, ...]
    reason: str  # why so much


@dataclass(frozen=True, slots=True)
class Step:
    """How far a shop is from one strategy."""

    name: str
    state: str  # ready, next (the first that is not), later
    share: float  # of what it needs, 0 to 1: of the need that is furthest from being met
    sentence: str
    reason: str


EVENTS: Final = Need("interactions", 200, "events about products")
# In the order in which a growing shop usually reaches them.
STRATEGIES: Final = (
    Strategy("Picked by hand", (), "A person's choice needs no data."),
    Strategy(
        "Found by description",
        (Need("described_percent", 50, "percent of products with three words or more"),),
        "Two words are a brand and a kind: everything of that kind looks alike. Where half of the "
        "products say no more, most neighbours are such ties. No event is needed.",
    ),
    Strategy(
        "Best sellers",
        (EVENTS,),
        "With 200 events a product that has a tenth of them is told from one that has a twentieth "
        "(nearly two standard errors); with 50 it is not.",
    ),
    Strategy(
        "Trending",
        (EVENTS, Need("days", 14, "days of events")),
        "It counts the last 14 days. Until they are full, there is no earlier time to rise from.",
    ),
    Strategy(
        "Similar and next",
        (Need("profiles_with_two", 100, "people with two products or more"),),
        "The shrinkage of 10 lets a pair count half once ten people met its product: from 100 "
        "people on that holds for the best-known products. Below 50 the gate cannot tell a good "
        "build from a lucky one.",
    ),
    Strategy(
        "Personal, chosen on your own events",
        (Need("asked", LEAST_PROFILES, "people to measure a build on"),),
        f"With {LEAST_PROFILES} people a figure of 0.1 has a standard error of about 0.02; with "
        "fewer the mixture and the memory would be chosen by luck, so the documented ones stay.",
    ),
    Strategy(
        LEARNED,
        (
            Need("impressions", LEAST_IMPRESSIONS, "products seen in messages"),
            Need("clicks", LEAST_CLICKS, "clicks on them"),
        ),
        "Ten clicks for each thing it weighs are the least (Peduzzi et al. 1996), and there are "
        "thirteen; at a click rate of 2 %, 200 come with 10,000 impressions.",
    ),
)


def find_missing(name: str, facts: Mapping[str, float | None]) -> str:
    """What a strategy still lacks, in a sentence; nothing where it has enough."""
    needs = next(one.needs for one in STRATEGIES if one.name == name)
    missing = [need for need in needs if had(facts, need) < need.least]
    return say_missing(facts, missing) if missing else ""


def list_steps(facts: Mapping[str, float | None]) -> list[Step]:
    """The strategies in order, each ready or with what it lacks. A fact unknown counts as 0."""
    steps: list[Step] = []
    for strategy in STRATEGIES:
        missing = [need for need in strategy.needs if had(facts, need) < need.least]
        share = min((had(facts, need) / need.least for need in strategy.needs), default=1.0)
        passed = all(step.state == "ready" for step in steps)
        state = "ready" if not missing else "next" if passed else "later"
        sentence = say_missing(facts, missing) if missing else say_had(facts, strategy)
        steps.append(
            Step(strategy.name, state, max(0.0, min(share, 1.0)), sentence, strategy.reason)
        )
    return steps


def advise(steps: list[Step]) -> str:
    """What is worth using now, and what comes next, in a sentence."""
    best = [step for step in steps if step.state == "ready"][-1]
    open_steps = [step for step in steps if step.state != "ready"]
    if not open_steps:
        return f"Worth using now: {best.name.lower()}. Nothing is missing."
    first = open_steps[0]
    return f"Worth using now: {best.name.lower()}. Next: {first.name.lower()}, {first.sentence}."


def had(facts: Mapping[str, float | None], need: Need) -> float:
    return facts.get(need.fact) or 0


def say_missing(facts: Mapping[str, float | None], missing: list[Need]) -> str:
    parts = [f"{whole_up(need.least - had(facts, need)):,} more {need.words}" for need in missing]
    return f"needs {' and '.join(parts)}"


def say_had(facts: Mapping[str, float | None], strategy: Strategy) -> str:
    parts = [f"{int(had(facts, need)):,} {need.words}" for need in strategy.needs]
    return " and ".join(parts) or "always"


def whole_up(missing: float) -> int:
    """What is missing is never rounded to nothing."""
    return -int(-missing // 1)
