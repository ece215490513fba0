"""A template as one person would get it, without a message and without tracking."""

from dataclasses import dataclass
from datetime import datetime

from campaigns.models import Template
from campaigns.personalise import Addressee, Personal, load_people, personalise
from engage.lib.errors import NotFound

CAMPAIGN = {"id": 0, "name": "Preview"}
NOWHERE = "#unsubscribe"  # a preview must not hand out a working link


@dataclass(frozen=True, slots=True)
class Preview:
    """`personal.drop` names the reason when this person would get nothing."""

    profile_id: int
    personal: Personal


def preview(template: Template, profile_id: int, *, now: datetime) -> Preview:
    """Changes nothing. Raises `NotFound` when there is no such person."""
    person = load_people([profile_id]).get(profile_id)
    if person is None:
        raise NotFound(f"there is no profile {profile_id}")
    addressee = Addressee(person, unsubscribe_url=NOWHERE)
    [personal] = personalise(template, [addressee], campaign=CAMPAIGN, now=now)
    return Preview(profile_id, personal)
