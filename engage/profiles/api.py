"""Export and erase a person. Mounted with server-key auth by `engage/urls.py`."""

from typing import Any, Literal

from django.http import HttpRequest
from ninja import Router

from engage.lib import clock
from engage.lib.errors import NotFound
from engage.profiles import erasure, identity, people

router = Router(tags=["profiles"])
Kind = Literal["user", "anonymous"]


@router.get("/profiles/{path:person_id}", summary="Export a person")
def get_profile(request: HttpRequest, person_id: str, kind: Kind = "user") -> dict[str, Any]:
    """Everything we keep: attributes, identities, devices, consents, events, messages.

    `person_id` is a user id, or with `?kind=anonymous` an anonymous id.
    """
    return people.get_person(get_profile_id(person_id, kind=kind))


@router.delete("/profiles/{path:person_id}", summary="Erase a person")
def erase_profile(request: HttpRequest, person_id: str, kind: Kind = "user") -> dict[str, Any]:
    """Delete everything we keep about the person, for good."""
    erasure.erase(get_profile_id(person_id, kind=kind), now=clock.now())
    return {"success": True}


def get_profile_id(person_id: str, *, kind: Kind) -> int:
    if kind == "user":
        found = identity.find_profile_id(user_id=person_id)
    else:
        found = identity.find_profile_id(anonymous_id=person_id)
    if found is None:
        raise NotFound(f"There is no profile with the {kind} id {person_id!r}.")
    return found
