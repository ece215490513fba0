"""Finding people by what somebody types, and what they are called on a screen."""

import re
from collections.abc import Mapping
from typing import Any

from django.db.models.fields.json import KT
from django.db.models.functions import Lower

from engage.profiles.models import Identity, Profile

MOST_FOUND = 200
WHOLE_NUMBER = re.compile(r"#?(\d{1,18})")


def name_person(attributes: Mapping[str, Any] | None, profile_id: int) -> str:
    """First and last name, else the address, else the number."""
    known = attributes or {}
    full = " ".join(str(known[key]) for key in ("first_name", "last_name") if known.get(key))
    return full or str(known.get("email") or known.get("phone") or f"#{profile_id}")


def find_people(term: str) -> list[int]:
    """Profiles with this number, user id, anonymous id or e-mail; else whose ids begin with it."""
    term = term.strip().replace("\x00", "")
    if not term:
        return []
    people = Profile.objects.annotate(email=Lower(KT("attributes__email")))
    exact = set(Identity.objects.filter(value=term).values_list("profile_id", flat=True))
    exact |= set(people.filter(email=term.lower()).values_list("pk", flat=True)[:MOST_FOUND])
    if number := WHOLE_NUMBER.fullmatch(term):
        exact |= set(Profile.objects.filter(pk=int(number[1])).values_list("pk", flat=True))
    if exact:
        return sorted(exact)
    near = set(
        Identity.objects.filter(value__startswith=term).values_list("profile_id", flat=True)[
            :MOST_FOUND
        ]
    )
    near |= set(
        people.filter(email__startswith=term.lower()).values_list("pk", flat=True)[:MOST_FOUND]
    )
    return sorted(near)
