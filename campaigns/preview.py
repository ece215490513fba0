"""A template as one person would get it, without a message and without tracking."""

from dataclasses import dataclass
from datetime import datetime

from campaigns import slot_checks
from campaigns.models import Template
from campaigns.personalise import Addressee, Personal, context_of, load_people, personalise
from campaigns.slots import weigh
from engage.lib.errors import NotFound
from engage.profiles.models import Profile
from recommendations import serve
from recommendations.cost import Cost

SAMPLE = 200  # people over whom the cost of pins and boosts is taken
CAMPAIGN = {"id": 0, "name": "Preview"}
NOWHERE = "#unsubscribe"  # a preview must not hand out a working link


@dataclass(frozen=True, slots=True)
class Preview:
    """`personal.drop` names the reason when this person would get nothing."""

    profile_id: int
    personal: Personal


@dataclass(frozen=True, slots=True)
class SlotCost:
    """What the pins and boosts of one slot cost the people who were here last."""

    slot: str
    cost: Cost

    def __str__(self) -> str:
        people = "person" if self.cost.people == 1 else "people"
        return (
            f"{self.slot}: pins and boosts give up {100 * self.cost.share:.0f} % of relevance "
            f"(the {self.cost.people} {people} seen last)"
        )


def list_costs(template: Template, *, now: datetime) -> list[SlotCost]:
    """Of the slots that pin or boost something. Changes nothing."""
    slots = [slot for slot in template.slots.order_by("pk") if slot.pins or slot.boosts]
    if not slots:
        return []
    latest = Profile.objects.filter(merged_into=None).order_by("-last_seen", "pk")
    people = load_people(list(latest.values_list("pk", flat=True)[:SAMPLE]))
    who = [serve.Who(one.profile_id, list(one.touches)) for one in people.values()]
    contexts = [context_of(one) for one in people.values()]
    weighed = [
        (slot.name, weigh(slot, who, contexts=contexts, now=now))
        for slot in slots
        if not list(slot_checks.check(slot))
    ]
    return [SlotCost(name, cost) for name, cost in weighed if cost is not None]


def preview(template: Template, profile_id: int, *, now: datetime) -> Preview:
    """Changes nothing. Raises `NotFound` when there is no such person."""
    person = load_people([profile_id]).get(profile_id)
    if person is None:
        raise NotFound(f"there is no profile {profile_id}")
    addressee = Addressee(person, unsubscribe_url=NOWHERE)
    [personal] = personalise(template, [addressee], campaign=CAMPAIGN, now=now)
    return Preview(profile_id, personal)
