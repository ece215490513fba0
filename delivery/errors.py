"""What goes wrong in delivery."""

from engage.lib.errors import EngageError, Unavailable


class ChannelUnavailable(Unavailable):
    """The provider cannot be reached: certainly nothing of this batch was sent."""

    code = "channel_unavailable"

    def __init__(self, message: str, *, retry_after_seconds: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class EndpointDisabled(EngageError):
    """What was to go there would be suppressed at once."""

    code = "endpoint_disabled"


class ChannelNotConfigured(EngageError):
    """A setting that the channel needs is missing or wrong."""

    code = "channel_not_configured"


class ForgedReceipt(EngageError):
    """Nobody who may tell us of messages signed this."""

    code = "forged_receipt"
