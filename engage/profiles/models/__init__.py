from engage.profiles.models.activity import Activity
from engage.profiles.models.consent import Consent
from engage.profiles.models.device import Device
from engage.profiles.models.event import DedupeId, Event
from engage.profiles.models.history import HistoryBlock, Term
from engage.profiles.models.notice import Notice, NoticeCursor, WatchedEvent
from engage.profiles.models.profile import Erasure, Identity, Merge, Profile

__all__ = [
    "Activity",
    "Consent",
    "DedupeId",
    "Device",
    "Erasure",
    "Event",
    "HistoryBlock",
    "Identity",
    "Merge",
    "Notice",
    "NoticeCursor",
    "Profile",
    "Term",
    "WatchedEvent",
]
