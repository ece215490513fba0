"""What goes wrong with people and their events."""

from engage.lib.errors import EngageError


class PoisonEvent(EngageError):
    """Something in the batch cannot be stored; the caller halves the batch to find it."""

    code = "poison_event"


class HistoryDamaged(EngageError):
    """The column files do not match their manifest: `rebuild_history` makes them anew."""

    code = "history_damaged"
