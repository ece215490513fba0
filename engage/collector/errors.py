"""What keeps events from being taken."""

from engage.lib.errors import EngageError


class InvalidKey(EngageError):
    code = "invalid_write_key"


class InvalidServerKey(EngageError):
    code = "invalid_server_key"


class ServerKeyNeeded(EngageError):
    code = "server_key_needed"


class InvalidBody(EngageError):
    """Not JSON, or not the JSON of this format: nothing of it can be taken."""

    code = "invalid_json"


class InvalidBatch(EngageError):
    """JSON, but not a batch of events."""

    code = "invalid_batch"


class TooManyEvents(EngageError):
    code = "too_many_events"


class QueueFull(EngageError):
    """The stream is as deep as it may get; sending later is right."""

    code = "queue_full"
