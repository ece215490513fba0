"""What this room keeps of a person, removed on request."""

from campaigns.models import ControlMember, Occasion


def erase(profile_id: int) -> None:
    """Safe to run twice."""
    ControlMember.objects.filter(profile_id=profile_id).delete()
    Occasion.objects.filter(profile_id=profile_id).delete()
