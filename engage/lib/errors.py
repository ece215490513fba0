"""What goes wrong, as exceptions with a stable code."""

from typing import ClassVar


class EngageError(Exception):
    """A refusal somebody can act on. `code` never changes; the message says what and where.

    `engage.lib.api` knows which HTTP status a code gets; nothing else does.
    """

    code: ClassVar[str] = "error"

    def __init__(self, message: str, *, detail: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.detail = detail or message


class InvalidInput(EngageError):
    """What came in cannot be used."""

    code = "invalid_input"


class NotFound(EngageError):
    code = "not_found"


class Unavailable(EngageError):
    """A server we need does not answer; trying again later is right."""

    code = "unavailable"
