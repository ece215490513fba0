"""What keeps the runner from starting, each with a sentence that says what to do."""

from engage.lib.errors import EngageError


class ServerMissing(EngageError):
    code = "server_missing"


class StartFailed(EngageError):
    code = "start_failed"
